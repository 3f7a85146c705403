//! An event to a guest, which sends one back.

use crate::operation::{Operation, Side};
use crate::{Guest, c, floor};
use anyhow::Result;
use std::os::fd::AsFd;
use std::time::Duration;
use xen_evtchn::{EventChannel, Evtchn, Port};
use xen_sys::linux::evtchn::Notify;
use xen_sys::zerocopy::IntoBytes;

pub(super) fn operations() -> Result<Vec<Operation>> {
    Ok(vec![waiting()?, polling()?])
}

/// Taking an event waits for it.
fn waiting() -> Result<Operation> {
    let ours = Ours::new("ours-waits")?;
    ours.evtchn.set_nonblocking(false)?;
    let ours = Side::with(ours, |ours| {
        ours.channel.notify().expect("sent");
        let taken = ours.evtchn.pending(&mut ours.ports).expect("ports");
        ours.evtchn.unmask(&ours.ports[..taken]).expect("unmasked");
    });
    let c = C::new("c-waits").map(|c| {
        Side::with(c, |c| {
            c.evtchn.notify(c.port);
            c.evtchn.unmask(c.evtchn.pending());
        })
    });
    let floor = Ours::new("floor-waits")?;
    floor.evtchn.set_nonblocking(false)?;
    let mut request = Notify { port: floor.channel.port() };
    let floor = Side::with(floor, move |floor| {
        let fd = floor.evtchn.as_fd();
        floor::ioctl(fd, &mut request);
        let taken = floor::read(fd, floor.ports.as_mut_bytes());
        floor::write(fd, &floor.ports.as_bytes()[..taken]);
    });
    Ok(Operation::new("there and back", ours).c(c).floor(floor))
}

/// Events are waited for with `poll`, as an event loop does.
fn polling() -> Result<Operation> {
    let ours = Side::with(Ours::new("ours-polls")?, |ours| {
        ours.channel.notify().expect("sent");
        assert!(ours.evtchn.wait(None).expect("waited"));
        let taken = ours.evtchn.pending(&mut ours.ports).expect("ports");
        ours.evtchn.unmask(&ours.ports[..taken]).expect("unmasked");
    });
    let c = C::new("c-polls").map(|c| {
        Side::with(c, |c| {
            c.evtchn.notify(c.port);
            c::wait(c.fd);
            c.evtchn.unmask(c.evtchn.pending());
        })
    });
    Ok(Operation::new("there, poll, and back", ours).c(c))
}

/// A channel to a guest, by our crate.
struct Ours {
    evtchn: Evtchn,
    channel: EventChannel,
    ports: [Port; 16],
    _guest: Guest,
}

impl Ours {
    fn new(name: &str) -> Result<Self> {
        let guest = Guest::start(name)?;
        let evtchn = Evtchn::open()?;
        let channel = evtchn.bind_interdomain(guest.domain()?, guest.port()?)?;
        let mut this = Self { evtchn, channel, ports: [Port::default(); 16], _guest: guest };
        // Binding sends an event, too.
        while this.evtchn.wait(Some(Duration::from_millis(100)))? {
            let taken = this.evtchn.pending(&mut this.ports)?;
            this.evtchn.unmask(&this.ports[..taken])?;
        }
        Ok(this)
    }
}

/// The same by the C library.
struct C {
    evtchn: c::Evtchn,
    fd: i32,
    port: u32,
    _guest: Guest,
}

impl C {
    fn new(name: &str) -> Result<Self> {
        let guest = Guest::start(name)?;
        let evtchn = c::Evtchn::open()?;
        let port = evtchn.bind_interdomain(guest.domain()?.get().into(), guest.port()?.get())?;
        evtchn.unmask(evtchn.pending()); // binding sends an event, too
        Ok(Self { fd: evtchn.fd(), evtchn, port, _guest: guest })
    }
}
