//! How many operations one and two threads do, on one handle and on one each.
//!
//! The fake kernel does nothing and takes no locks. So what threads wait for here is ours; and it shows much more than beside
//! real system calls.
#![expect(unsafe_code, reason = "puts memfds in the devices' place")]

use crate::memfd;
use anyhow::Result;
use benches::results::{Concurrent, Kernel, Threads};
use benches::threads::rates;
use xen_call::{Xencall, version};
use xen_evtchn::{EventChannel, Evtchn, Port};
use xen_foreignmem::{DomId, ForeignMemory, Gfn};
use xen_sys::linux::fake;

const MEMORY: u64 = 1 << 22;

pub(crate) fn threads() -> Result<Threads> {
    let operations = vec![
        row("notify", channel, |channel: &EventChannel| channel.notify().expect("sent"))?,
        row("hypercall with a record", xencall, |xencall: &Xencall| {
            version::features(xencall, 0).expect("features");
        })?,
        row("map and unmap a frame", memory, |memory: &ForeignMemory| {
            drop(memory.map(DomId::ZERO, &[Gfn::new(1)]).expect("mapped"));
        })?,
    ];
    Ok(Threads { kernel: Kernel::Fake, operations })
}

fn row<H: Sync>(name: &str, open: fn() -> Result<H>, operation: fn(&H)) -> Result<Concurrent> {
    let (first, second) = (open()?, open()?);
    let ours = rates([&first, &second], |handle| {
        let kernel = fake::install(|_| Ok(0));
        Ok(move || {
            let _kernel = &kernel;
            operation(handle);
        })
    });
    Ok(Concurrent { name: name.to_owned(), ours: ours?, floor: None })
}

fn channel() -> Result<EventChannel> {
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { Evtchn::from_fd(memfd(MEMORY)?) }?.adopt(Port::new(7)))
}

fn xencall() -> Result<Xencall> {
    // Without a device for memory, which would give the same memory each time.
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { Xencall::from_fds(memfd(MEMORY)?, None) }?)
}

fn memory() -> Result<ForeignMemory> {
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { ForeignMemory::from_fd(memfd(MEMORY)?) }?)
}
