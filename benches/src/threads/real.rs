//! In dom0, beside the bare system calls.

use super::rates;
use crate::domain::BareDomain;
use crate::floor;
use crate::operation::Side;
use crate::results::{Concurrent, Kernel, Threads};
use anyhow::{Result, ensure};
use std::os::fd::AsFd;
use std::thread::available_parallelism;
use xen_call::{Xencall, version};
use xen_evtchn::{DomId, EventChannel, Evtchn};
use xen_foreignmem::{ForeignMemory, Gfn};
use xen_sys::linux::evtchn::Notify;
use xen_sys::xen_public::version::FeatureInfo;

/// Measures on the running Xen.
///
/// # Errors
///
/// If dom0 has one processor only, or an operation cannot be set up.
pub fn real() -> Result<Threads> {
    ensure!(
        available_parallelism()?.get() > 1,
        "threads cannot be at work at the same time: there is one processor"
    );
    Ok(Threads { kernel: Kernel::Real, operations: vec![notify()?, hypercall()?, map()?] })
}

/// Both sides of an operation on two handles.
fn both<H: Sync>(
    name: &str,
    open: impl Fn() -> Result<H>,
    ours: impl Fn(&H) -> Result<Side> + Sync,
    floor: impl Fn(&H) -> Result<Side> + Sync,
) -> Result<Concurrent> {
    let (first, second) = (open()?, open()?);
    let run = |make: &(dyn Fn(&H) -> Result<Side> + Sync)| {
        rates([&first, &second], |handle| {
            let mut side = make(handle)?;
            Ok(move || side.run())
        })
    };
    Ok(Concurrent { name: name.to_owned(), ours: run(&ours)?, floor: Some(run(&floor)?) })
}

/// A channel of this domain to itself. Nobody takes its event, so it is pending from the first one on.
fn channel(evtchn: &Evtchn) -> Result<(EventChannel, EventChannel)> {
    let near = evtchn.bind_unbound(DomId::SELF)?;
    let far = evtchn.bind_interdomain(DomId::SELF, near.port())?;
    Ok((near, far))
}

fn notify() -> Result<Concurrent> {
    let ours = |evtchn: &Evtchn| Ok(Side::with(channel(evtchn)?, |(near, _)| near.notify().expect("sent")));
    let floor = |evtchn: &Evtchn| {
        let (near, far) = channel(evtchn)?;
        let mut request = Notify { port: near.port() };
        let evtchn = evtchn.clone();
        Ok(Side::with((near, far), move |_| {
            floor::ioctl(evtchn.as_fd(), &mut request);
        }))
    };
    both("notify", || Ok(Evtchn::open()?), ours, floor)
}

fn hypercall() -> Result<Concurrent> {
    let ours = |xencall: &Xencall| {
        let xencall = xencall.clone();
        Ok(Side::new(move || {
            version::features(&xencall, 0).expect("features");
        }))
    };
    let floor = |xencall: &Xencall| floor::hypercall(xencall, &FeatureInfo { submap_idx: 0, submap: 0 });
    both("hypercall with a record", || Ok(Xencall::open()?), ours, floor)
}

fn map() -> Result<Concurrent> {
    let domain = BareDomain::new(1)?;
    let id = domain.id();
    let ours = |memory: &ForeignMemory| {
        let memory = memory.clone();
        Ok(Side::new(move || drop(memory.map(id, &[Gfn::new(0)]).expect("mapped"))))
    };
    let floor = |memory: &ForeignMemory| {
        let memory = memory.clone();
        Ok(Side::new(move || floor::map_foreign(memory.as_fd(), id.get(), &[0], &mut [0]).unmap()))
    };
    both("map and unmap a frame", || Ok(ForeignMemory::open()?), ours, floor)
}
