//! Counts system calls.

use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};
use std::fs;
use std::io;
use std::process::Command;

/// Counts the system calls of the calling thread, with the kernel's own tracepoint: calls that other code makes on
/// the way are counted too. Needs root and a kernel with `CONFIG_FTRACE_SYSCALLS`.
#[derive(Debug)]
pub struct SystemCalls {
    counter: Counter,
    /// What switching the counter off costs by itself.
    overhead: u64,
}

impl SystemCalls {
    /// Sets the counter up, and mounts the tracing file system if that is not there.
    ///
    /// # Errors
    ///
    /// The kernel's, if it does not count.
    pub fn new() -> io::Result<Self> {
        let event = Tracepoint::with_id(tracepoint_id("raw_syscalls/sys_enter")?);
        let counter = Builder::new(event).include_kernel().include_hv().build()?;
        let mut this = Self { counter, overhead: 0 };
        this.overhead = this.count(|| ())?.1;
        Ok(this)
    }

    /// Runs `operation`; its answer, and how many system calls it made.
    ///
    /// # Errors
    ///
    /// The kernel's, if it does not count.
    pub fn count<T>(&mut self, operation: impl FnOnce() -> T) -> io::Result<(T, u64)> {
        self.counter.reset()?;
        self.counter.enable()?;
        let answer = operation();
        self.counter.disable()?;
        Ok((answer, self.counter.read()? - self.overhead))
    }
}

/// The kernel's number for a tracepoint.
fn tracepoint_id(name: &str) -> io::Result<u64> {
    const TRACEFS: &str = "/sys/kernel/tracing";
    let path = format!("{TRACEFS}/events/{name}/id");
    if !fs::exists(&path)? {
        Command::new("mount").args(["-t", "tracefs", "tracefs", TRACEFS]).status()?;
    }
    fs::read_to_string(path)?.trim().parse().map_err(io::Error::other)
}
