//! The C libraries of the running Xen, loaded at run time and declared from their interface, so that building needs no C.
//!
//! Each file has one library: `library!` declares functions, and a small owner of the handle calls them.
#![expect(unsafe_code, reason = "calls C")]

mod call;
mod ctrl;
#[cfg(target_arch = "x86_64")]
mod devicemodel;
mod evtchn;
mod foreignmemory;
mod gnttab;
mod handle;
mod map_cache;

pub(crate) use call::Call;
pub(crate) use ctrl::{Ctrl, DomainRecords};
#[cfg(target_arch = "x86_64")]
pub(crate) use devicemodel::DeviceModel;
pub(crate) use evtchn::Evtchn;
pub(crate) use foreignmemory::ForeignMemory;
pub(crate) use gnttab::{CopySegment, Gntshr, Gnttab};
use handle::Handle;
pub(crate) use handle::{open_and_close, open_and_close_interface};
pub(crate) use map_cache::MapCache;

use anyhow::{Result, ensure};
use std::ffi::c_int;
use std::{fs, io};

/// Declares a library's functions; the struct's `load` finds them in the library of that name.
macro_rules! library {
    ($name:ident { $(fn $function:ident($($argument:ty),* $(,)?) -> $answer:ty;)* }) => {
        #[allow(clippy::struct_field_names, reason = "the names are C's")]
        #[allow(dead_code, reason = "device models are measured on x86 only")]
        pub(super) struct $name {
            $(pub(super) $function: unsafe extern "C" fn($($argument),*) -> $answer,)*
        }

        impl $name {
            /// Loads the library, for good.
            pub(super) fn load(file: &str) -> anyhow::Result<Self> {
                // SAFETY: Xen's libraries do nothing when they are loaded.
                let library = unsafe { libloading::Library::new(file) }?;
                let library: &'static libloading::Library = Box::leak(Box::new(library));
                Ok(Self {
                    $($function: {
                        // SAFETY: the declaration is that of the library's interface.
                        *unsafe { library.get(concat!(stringify!($function), "\0").as_bytes()) }?
                    },)*
                })
            }
        }
    };
}
use library;

/// The file of libxenctrl, which has the hypervisor's version in its name.
fn ctrl_file() -> Result<String> {
    let part = |name| fs::read_to_string(format!("/sys/hypervisor/version/{name}"));
    let (major, minor) = (part("major")?, part("minor")?);
    Ok(format!("libxenctrl.so.{}.{}", major.trim(), minor.trim_start_matches('.').trim()))
}

/// An answer that is 0 or more, or the error in `errno`.
fn good(answer: c_int) -> Result<u32> {
    ensure!(answer >= 0, io::Error::last_os_error());
    Ok(answer.unsigned_abs())
}

/// `poll(2)` of the C library, for ever, until there is something to read.
pub(crate) fn wait(fd: c_int) {
    assert!(poll(fd, -1));
}

/// Whether there is something to read.
pub(crate) fn is_readable(fd: c_int) -> bool {
    poll(fd, 0)
}

fn poll(fd: c_int, timeout: c_int) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one record, which the kernel fills.
    unsafe { libc::poll(&raw mut poll, 1, timeout) == 1 }
}
