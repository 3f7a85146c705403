//! libxenforeignmemory
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, library};
use anyhow::{Context, Result};
use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::{NonNull, null_mut};

library!(Functions {
    fn xenforeignmemory_open(*mut c_void, c_uint) -> *mut c_void;
    fn xenforeignmemory_close(*mut c_void) -> c_int;
    fn xenforeignmemory_map(*mut c_void, u32, c_int, usize, *const u64, *mut c_int) -> *mut c_void;
    fn xenforeignmemory_unmap(*mut c_void, *mut c_void, usize) -> c_int;
    fn xenforeignmemory_map_resource(*mut c_void, u16, c_uint, c_uint, c_ulong, c_ulong, *mut *mut c_void, c_int, c_int) -> *mut c_void;
});

pub(crate) struct ForeignMemory {
    functions: Functions,
    handle: Handle,
}

impl ForeignMemory {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load("libxenforeignmemory.so.1")?;
        // SAFETY: the functions belong together.
        let handle = unsafe {
            Handle::open(
                "xenforeignmemory",
                functions.xenforeignmemory_open,
                functions.xenforeignmemory_close,
            )
        }?;
        Ok(Self { functions, handle })
    }

    /// Maps frames of a domain for reading and writing; all of them. They stay mapped until [`unmap`](Self::unmap).
    pub(crate) fn map(&self, domain: u32, frames: &[u64]) -> NonNull<u8> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (handle, count, list) = (self.handle.as_ptr(), frames.len(), frames.as_ptr());
        let map = self.functions.xenforeignmemory_map;
        // SAFETY: the handle is open, and there are as many frames.
        let memory = unsafe { map(handle, domain, protection, count, list, null_mut()) };
        NonNull::new(memory.cast()).expect("mapped")
    }

    /// Maps those frames that are there, with a status for each.
    pub(crate) fn map_partial(&self, domain: u32, frames: &[u64], statuses: &mut [c_int]) -> NonNull<u8> {
        assert_eq!(frames.len(), statuses.len());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (handle, count, list) = (self.handle.as_ptr(), frames.len(), frames.as_ptr());
        let map = self.functions.xenforeignmemory_map;
        // SAFETY: the handle is open, and there are as many frames and statuses.
        let memory = unsafe { map(handle, domain, protection, count, list, statuses.as_mut_ptr()) };
        NonNull::new(memory.cast()).expect("mapped")
    }

    /// Unmaps `count` frames.
    ///
    /// # Safety
    ///
    /// They were mapped by this handle, and nobody uses them.
    pub(crate) unsafe fn unmap(&self, memory: NonNull<u8>, count: usize) {
        let unmap = self.functions.xenforeignmemory_unmap;
        // SAFETY: the caller's promise.
        let status = unsafe { unmap(self.handle.as_ptr(), memory.as_ptr().cast(), count) };
        assert_eq!(status, 0);
    }

    /// Maps the page of a server's synchronous requests, for the rest of the program.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "device models are measured on x86 only")
    )]
    pub(crate) fn map_requests(&self, domain: u16, server: u16) -> Result<NonNull<u8>> {
        const IOREQ_SERVER: c_uint = 0;
        const FIRST_PAGE_OF_REQUESTS: c_ulong = 1;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let mut memory = null_mut();
        // SAFETY: the handle is open, and the library sets where the memory is.
        let resource = unsafe {
            (self.functions.xenforeignmemory_map_resource)(
                self.handle.as_ptr(),
                domain,
                IOREQ_SERVER,
                server.into(),
                FIRST_PAGE_OF_REQUESTS,
                1,
                &raw mut memory,
                protection,
                0,
            )
        };
        anyhow::ensure!(!resource.is_null(), std::io::Error::last_os_error());
        NonNull::new(memory.cast()).context("xenforeignmemory_map_resource")
    }
}
