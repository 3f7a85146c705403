//! libxencall
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};

library!(Functions {
    fn xencall_open(*mut c_void, c_uint) -> *mut c_void;
    fn xencall_close(*mut c_void) -> c_int;
    fn xencall2(*mut c_void, c_uint, u64, u64) -> c_int;
});

pub(crate) struct Call {
    functions: Functions,
    handle: Handle,
}

impl Call {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load("libxencall.so.1")?;
        // SAFETY: the functions belong together.
        let handle = unsafe { Handle::open("xencall", functions.xencall_open, functions.xencall_close) }?;
        Ok(Self { functions, handle })
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
