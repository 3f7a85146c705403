//! Event channels.

use std::io::Error as IoError;
use std::time::Duration;

use anyhow::{Result, ensure};
use xen_evtchn::{DomId, Error, EventChannel, Evtchn, Port, Virq};

use super::domains::nobody;
use super::{Check, Machine, Skipped, refused};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "an event goes from this domain to itself and back", run: there_and_back },
    Check { name: "many events are taken at once", run: many_at_once },
    Check { name: "a virtual interrupt is bound once", run: virtual_interrupt },
    Check { name: "virtual interrupts that do not exist are refused", run: no_virtual_interrupt },
    Check { name: "ports that are not bound are refused", run: unbound_ports },
    Check { name: "ports of domains that are not there are refused", run: ports_of_nobody },
];

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// Ports that nobody can have: 0, the first one beyond all tables, and what a cut or signed number could be.
const IMPOSSIBLE: [u32; 5] = [0, 1 << 17, 0x8000_0001, 0xffff_0001, u32::MAX];
/// Ports that somebody can have, but not a handle that has bound none: a low one, and the last one of each kind of table.
const NOT_OURS: [u32; 3] = [1, 4095, (1 << 17) - 1];

const EXIST: i32 = 17;
const INVALID: i32 = 22;
const NO_DOMAIN: i32 = 3;
const NOT_CONNECTED: i32 = 107;

fn is(source: &IoError, number: i32) -> bool {
    source.raw_os_error() == Some(number)
}

/// Two ends of a channel, without the event that binding causes.
fn pair(evtchn: &Evtchn) -> Result<(EventChannel, EventChannel)> {
    let near = evtchn.bind_unbound(DomId::SELF)?;
    let far = evtchn.bind_interdomain(DomId::SELF, near.port())?;
    expect(evtchn, &far)?;
    Ok((near, far))
}

/// Takes an event, which must be one on this port, and the only one.
fn expect(evtchn: &Evtchn, channel: &EventChannel) -> Result<()> {
    ensure!(evtchn.wait(PATIENCE)?, "no event came on port {}", channel.port());
    let mut ports = [Port::default(); 2];
    let count = evtchn.pending(&mut ports)?;
    ensure!(
        ports[..count] == [channel.port()],
        "events came on {:?}, not on {}",
        &ports[..count],
        channel.port()
    );
    Ok(channel.unmask()?)
}

fn there_and_back(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    let (near, far) = pair(&evtchn)?;
    for _ in 0..10 {
        near.notify()?;
        expect(&evtchn, &far)?;
        far.notify()?;
        expect(&evtchn, &near)?;
    }
    ensure!(!evtchn.wait(Some(Duration::from_millis(20)))?, "an event came that nobody sent");
    Ok(far.unbind()?)
}

fn many_at_once(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    let pairs = (0..64).map(|_| pair(&evtchn)).collect::<Result<Vec<_>>>()?;
    for (near, _) in &pairs {
        near.notify()?;
    }
    let (mut seen, mut ports) = (Vec::new(), [Port::default(); 64]);
    while seen.len() < pairs.len() {
        ensure!(evtchn.wait(PATIENCE)?, "{} of {} events came", seen.len(), pairs.len());
        let count = evtchn.pending(&mut ports)?;
        seen.extend_from_slice(&ports[..count]);
    }
    seen.sort_unstable();
    let mut wanted: Vec<_> = pairs.iter().map(|(_, far)| far.port()).collect();
    wanted.sort_unstable();
    ensure!(seen == wanted, "events came on {seen:?}, not on {wanted:?}");
    Ok(evtchn.unmask(&seen)?)
}

fn virtual_interrupt(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    let bound = match evtchn.bind_virq(Virq::DEBUGGER) {
        // Bound by somebody else, or not for this domain, as newer hypervisors have it.
        Err(error @ Error::BindVirq { .. }) => return Err(Skipped(error.to_string()).into()),
        bound => bound?,
    };
    refused!(evtchn.bind_virq(Virq::DEBUGGER), Error::BindVirq { virq: Virq::DEBUGGER, source } if is(&source, EXIST));
    bound.unbind()?;
    Ok(evtchn.bind_virq(Virq::DEBUGGER)?.unbind()?)
}

fn no_virtual_interrupt(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    for number in [24, 0x1_0006, 0x8000_0006, u32::MAX] {
        let virq = Virq::new(number);
        refused!(evtchn.bind_virq(virq), Error::BindVirq { virq: of, source } if of == virq && is(&source, INVALID));
    }
    Ok(())
}

fn unbound_ports(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    let (near, far) = pair(&evtchn)?;
    for port in IMPOSSIBLE.map(Port::new) {
        refused!(
            evtchn.bind_interdomain(DomId::SELF, port),
            Error::BindInterdomain { domain: DomId::SELF, port: of, source } if of == port && is(&source, INVALID)
        );
    }
    for port in IMPOSSIBLE.into_iter().chain(NOT_OURS).map(Port::new) {
        let adopted = evtchn.adopt(port);
        refused!(adopted.notify(), Error::Port { port: of, source, .. } if of == port && is(&source, NOT_CONNECTED));
        refused!(
            adopted.unbind(),
            Error::Port { port: of, source, .. }
                if of == port && (is(&source, NOT_CONNECTED) || is(&source, INVALID))
        );
        evtchn.unmask(&[port])?; // ignored
    }
    near.notify()?;
    expect(&evtchn, &far)
}

fn ports_of_nobody(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    for domain in [nobody()?, DomId::IO, DomId::XEN, DomId::COW, DomId::IDLE] {
        for port in IMPOSSIBLE.into_iter().chain(NOT_OURS).map(Port::new) {
            refused!(
                evtchn.bind_interdomain(domain, port),
                Error::BindInterdomain { domain: of, port: at, source }
                    if (of, at) == (domain, port) && is(&source, NO_DOMAIN)
            );
        }
    }
    match evtchn.bind_unbound(nobody()?) {
        // Where the security policy asks who that is.
        Err(Error::BindUnbound { source, .. }) if is(&source, NO_DOMAIN) => Ok(()),
        offered => Ok(offered?.unbind()?),
    }
}
