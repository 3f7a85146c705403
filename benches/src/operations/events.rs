//! Event channels from dom0 to itself.

use crate::operation::{Operation, Side};
use crate::{c, floor};
use anyhow::Result;
use std::os::fd::AsFd;
use std::time::Duration;
use xen_evtchn::{DomId, EventChannel, Evtchn, Port};
use xen_sys::linux::evtchn::Notify;
use xen_sys::zerocopy::IntoBytes;

pub(super) fn operations() -> Result<Vec<Operation>> {
    let mut operations = vec![notify()?];
    for count in [1, 16, 256] {
        operations.push(take(count)?);
    }
    operations.push(bind()?);
    Ok(operations)
}

/// Sending to a port that is neither pending nor masked, with everything up to its delivery to the kernel's ring.
fn notify() -> Result<Operation> {
    let ours = Side::prepared(Ours::new(1)?, Ours::drain, |ours| ours.near[0].notify().expect("sent"));
    let c = C::new(1).map(|c| Side::prepared(c, C::drain, |c| c.evtchn.notify(c.near[0])));
    let floor = Ours::new(1)?;
    let mut request = Notify { port: floor.near[0].port() };
    let floor = Side::prepared(floor, Ours::drain, move |floor| {
        floor::ioctl(floor.evtchn.as_fd(), &mut request);
    });
    Ok(Operation::new("notify", ours).c(c).floor(floor))
}

/// Taking the ports of events and unmasking them; whoever takes would wait if there were none.
fn take(count: u32) -> Result<Operation> {
    let ours = Ours::new(count)?;
    ours.evtchn.set_nonblocking(false)?;
    let ours = Side::prepared(ours, Ours::send, |ours| {
        let taken = ours.evtchn.pending(&mut ours.ports).expect("ports");
        ours.evtchn.unmask(&ours.ports[..taken]).expect("unmasked");
    });
    let c = C::new(count).map(|c| {
        Side::prepared(c, C::send, move |c| {
            for _ in 0..count {
                c.evtchn.unmask(c.evtchn.pending());
            }
        })
    });
    let floor = Side::prepared(Ours::new(count)?, Ours::send, |floor| {
        let fd = floor.evtchn.as_fd();
        let taken = floor::read(fd, floor.ports.as_mut_bytes());
        floor::write(fd, &floor.ports.as_bytes()[..taken]);
    });
    Ok(Operation::new(format!("take and unmask {count}"), ours).units(count).c(c).floor(floor))
}

fn bind() -> Result<Operation> {
    let evtchn = Evtchn::open()?;
    let ours = Side::new(move || {
        evtchn.bind_unbound(DomId::SELF).expect("bound").unbind().expect("unbound");
    });
    let c = c::Evtchn::open().map(|c| Side::new(move || c.unbind(c.bind_unbound(SELF).expect("bound"))));
    Ok(Operation::new("bind and unbind", ours).c(c))
}

/// Channels from this domain to itself, by our crate.
struct Ours {
    evtchn: Evtchn,
    near: Vec<EventChannel>,
    /// The ends that get the events; kept bound.
    _far: Vec<EventChannel>,
    ports: [Port; 1024],
}

impl Ours {
    fn new(count: u32) -> Result<Self> {
        let evtchn = Evtchn::open()?;
        let near: Vec<_> = (0..count).map(|_| evtchn.bind_unbound(DomId::SELF)).collect::<Result<_, _>>()?;
        let far = near.iter().map(|near| evtchn.bind_interdomain(DomId::SELF, near.port()));
        let far = far.collect::<Result<_, _>>()?;
        let mut this = Self { evtchn, near, _far: far, ports: [Port::default(); 1024] };
        this.drain();
        Ok(this)
    }

    fn send(&mut self) {
        self.near.iter().for_each(|near| near.notify().expect("sent"));
    }

    fn drain(&mut self) {
        while self.evtchn.wait(Some(Duration::ZERO)).expect("waited") {
            let taken = self.evtchn.pending(&mut self.ports).expect("ports");
            self.evtchn.unmask(&self.ports[..taken]).expect("unmasked");
        }
    }
}

/// `DOMID_SELF`
const SELF: u32 = 0x7ff0;

/// The same by the C library.
struct C {
    evtchn: c::Evtchn,
    fd: i32,
    near: Vec<u32>,
}

impl C {
    fn new(count: u32) -> Result<Self> {
        let evtchn = c::Evtchn::open()?;
        let fd = evtchn.fd();
        let near: Vec<_> = (0..count).map(|_| evtchn.bind_unbound(SELF)).collect::<Result<_>>()?;
        let mut this = Self { evtchn, fd, near };
        for &near in &this.near {
            this.evtchn.bind_interdomain(SELF, near)?;
        }
        this.drain();
        Ok(this)
    }

    fn send(&mut self) {
        self.near.iter().for_each(|&near| self.evtchn.notify(near));
    }

    fn drain(&mut self) {
        while c::is_readable(self.fd) {
            self.evtchn.unmask(self.evtchn.pending());
        }
    }
}
