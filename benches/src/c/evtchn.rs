//! libxenevtchn
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, good, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};

library!(Functions {
    fn xenevtchn_open(*mut c_void, c_uint) -> *mut c_void;
    fn xenevtchn_close(*mut c_void) -> c_int;
    fn xenevtchn_fd(*mut c_void) -> c_int;
    fn xenevtchn_bind_unbound_port(*mut c_void, u32) -> c_int;
    fn xenevtchn_bind_interdomain(*mut c_void, u32, u32) -> c_int;
    fn xenevtchn_unbind(*mut c_void, u32) -> c_int;
    fn xenevtchn_notify(*mut c_void, u32) -> c_int;
    fn xenevtchn_pending(*mut c_void) -> c_int;
    fn xenevtchn_unmask(*mut c_void, u32) -> c_int;
});

pub(crate) struct Evtchn {
    functions: Functions,
    handle: Handle,
}

impl Evtchn {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load("libxenevtchn.so.1")?;
        // SAFETY: the functions belong together.
        let handle =
            unsafe { Handle::open("xenevtchn", functions.xenevtchn_open, functions.xenevtchn_close) }?;
        Ok(Self { functions, handle })
    }

    pub(crate) fn fd(&self) -> c_int {
        // SAFETY: the handle is open.
        unsafe { (self.functions.xenevtchn_fd)(self.handle.as_ptr()) }
    }

    pub(crate) fn bind_unbound(&self, domain: u32) -> Result<u32> {
        // SAFETY: the handle is open.
        good(unsafe { (self.functions.xenevtchn_bind_unbound_port)(self.handle.as_ptr(), domain) })
    }

    pub(crate) fn bind_interdomain(&self, domain: u32, port: u32) -> Result<u32> {
        // SAFETY: the handle is open.
        good(unsafe { (self.functions.xenevtchn_bind_interdomain)(self.handle.as_ptr(), domain, port) })
    }

    pub(crate) fn unbind(&self, port: u32) {
        // SAFETY: the handle is open.
        let status = unsafe { (self.functions.xenevtchn_unbind)(self.handle.as_ptr(), port) };
        assert_eq!(status, 0);
    }

    pub(crate) fn notify(&self, port: u32) {
        // SAFETY: the handle is open.
        let status = unsafe { (self.functions.xenevtchn_notify)(self.handle.as_ptr(), port) };
        assert_eq!(status, 0);
    }

    /// Takes one port; waits until there is one.
    pub(crate) fn pending(&self) -> u32 {
        // SAFETY: the handle is open.
        let port = unsafe { (self.functions.xenevtchn_pending)(self.handle.as_ptr()) };
        assert!(port >= 0);
        port.unsigned_abs()
    }

    pub(crate) fn unmask(&self, port: u32) {
        // SAFETY: the handle is open.
        let status = unsafe { (self.functions.xenevtchn_unmask)(self.handle.as_ptr(), port) };
        assert_eq!(status, 0);
    }
}
