//! libxencall
#![expect(unsafe_code, reason = "calls C")]

use super::library;
use anyhow::{Context, Result};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};

library!(Functions {
    fn xencall_open(*mut c_void, c_uint) -> *mut c_void;
    fn xencall_close(*mut c_void) -> c_int;
    fn xencall2(*mut c_void, c_uint, u64, u64) -> c_int;
});

pub(crate) struct Call {
    functions: Functions,
    handle: NonNull<c_void>,
}

impl Call {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load("libxencall.so.1")?;
        // SAFETY: no logger and no flags are fine.
        let handle = unsafe { (functions.xencall_open)(null_mut(), 0) };
        Ok(Self { functions, handle: NonNull::new(handle).context("xencall_open")? })
    }

    /// The hypervisor's version.
    pub(crate) fn version(&self) -> c_int {
        const XEN_VERSION: c_uint = 17;
        // SAFETY: the handle is open; this hypercall takes no memory.
        let version = unsafe { (self.functions.xencall2)(self.handle.as_ptr(), XEN_VERSION, 0, 0) };
        assert!(version > 0);
        version
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        unsafe { (self.functions.xencall_close)(self.handle.as_ptr()) };
    }
}
