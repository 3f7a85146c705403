//! `threads`: how many operations one and two threads do, on one handle and on one each, on any machine with two processors.
//!
//! The fake kernel does nothing and takes no locks. So what threads wait for here is ours; and it shows much more than beside
//! real system calls.
//!
//! ```text
//! cargo run --release --package benches --features fake --bin threads
//! ```
#![expect(unsafe_code, reason = "puts memfds in the devices' place")]
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use anyhow::Result;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use xen_call::{Xencall, version};
use xen_evtchn::{EventChannel, Evtchn, Port};
use xen_foreignmem::{DomId, ForeignMemory, Gfn};
use xen_sys::linux::fake;

fn main() -> Result<()> {
    println!(
        "{:28}{:>12}{:>12}{:>12}",
        "million operations a second", "1 thread", "2, 1 handle", "2 handles"
    );
    row("notify", channel, |channel: &EventChannel| channel.notify().expect("sent"))?;
    row("hypercall with a record", xencall, |xencall: &Xencall| {
        version::features(xencall, 0).expect("features");
    })?;
    row("map and unmap a frame", memory, |memory: &ForeignMemory| {
        drop(memory.map(DomId::ZERO, &[Gfn::new(1)]).expect("mapped"));
    })
}

fn row<H: Sync>(name: &str, open: fn() -> Result<H>, operation: fn(&H)) -> Result<()> {
    let (first, second) = (open()?, open()?);
    print!("{name:28}");
    for handles in [&[&first][..], &[&first, &first], &[&first, &second]] {
        let best = (0..5).map(|_| rate(handles, operation)).max().unwrap_or(0);
        print!("{:>12.2}", Duration::from_micros(best).as_secs_f64());
    }
    println!();
    Ok(())
}

/// Operations a second, by a thread for each handle.
fn rate<H: Sync>(handles: &[&H], operation: fn(&H)) -> u64 {
    const TIME: Duration = Duration::from_millis(200);
    let stop = AtomicBool::new(false);
    let count = |handle: &H| {
        let _kernel = fake::install(|_| Ok(0));
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            (0..100).for_each(|_| operation(handle));
            count += 100;
        }
        count
    };
    let done: u64 = thread::scope(|scope| {
        let threads: Vec<_> = handles.iter().map(|handle| scope.spawn(|| count(handle))).collect();
        thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("counted")).sum()
    });
    done * 5 // times 200 ms
}

fn memfd() -> Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&fd, 1 << 22)?;
    Ok(fd)
}

fn channel() -> Result<EventChannel> {
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { Evtchn::from_fd(memfd()?) }?.adopt(Port::new(7)))
}

fn xencall() -> Result<Xencall> {
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { Xencall::from_fds(memfd()?, Some(memfd()?)) }?)
}

fn memory() -> Result<ForeignMemory> {
    // SAFETY: the fake kernel takes every request.
    Ok(unsafe { ForeignMemory::from_fd(memfd()?) }?)
}
