//! Starting other programs so that none of them outlives this one.

#![expect(unsafe_code, reason = "code between fork and exec can only be given to std by an unsafe function")]

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// A command that the kernel kills when this process ends for whatever reason, Ctrl-C and `kill -9` included.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    command_with_descriptors(program, Vec::new())
}

/// As [`command`]; the child also gets `descriptors`, under the numbers that they have here.
pub(crate) fn command_with_descriptors(program: impl AsRef<OsStr>, descriptors: Vec<OwnedFd>) -> Command {
    let parent = getpid();
    let mut command = Command::new(program);
    // SAFETY: `prepare_child` only makes system calls, which are allowed between fork and exec.
    unsafe { command.pre_exec(move || prepare_child(parent, &descriptors)) };
    command
}

fn prepare_child(parent: Pid, descriptors: &[OwnedFd]) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::BrokenPipe.into()); // the parent died before the request above
    }
    for descriptor in descriptors {
        fcntl_setfd(descriptor, FdFlags::empty())?;
    }
    Ok(())
}
