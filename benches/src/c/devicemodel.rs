//! libxendevicemodel
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, good, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};

library!(Functions {
    fn xendevicemodel_open(*mut c_void, c_uint) -> *mut c_void;
    fn xendevicemodel_close(*mut c_void) -> c_int;
    fn xendevicemodel_create_ioreq_server(*mut c_void, u16, c_int, *mut u16) -> c_int;
    fn xendevicemodel_map_io_range_to_ioreq_server(*mut c_void, u16, u16, c_int, u64, u64) -> c_int;
    fn xendevicemodel_set_ioreq_server_state(*mut c_void, u16, u16, c_int) -> c_int;
    fn xendevicemodel_set_mem_type(*mut c_void, u16, c_uint, u64, u32) -> c_int;
    fn xendevicemodel_modified_memory(*mut c_void, u16, u64, u32) -> c_int;
});

pub(crate) struct DeviceModel {
    functions: Functions,
    handle: Handle,
    domain: u16,
}

impl DeviceModel {
    pub(crate) fn open(domain: u16) -> Result<Self> {
        let functions = Functions::load("libxendevicemodel.so.1")?;
        // SAFETY: the functions belong together.
        let handle = unsafe {
            Handle::open("xendevicemodel", functions.xendevicemodel_open, functions.xendevicemodel_close)
        }?;
        Ok(Self { functions, handle, domain })
    }

    /// Makes a server without a ring for what nobody waits for; it ends with the domain.
    pub(crate) fn create_ioreq_server(&self) -> Result<u16> {
        let mut id = 0;
        let create = self.functions.xendevicemodel_create_ioreq_server;
        // SAFETY: the handle is open, and the library sets the number.
        good(unsafe { create(self.handle.as_ptr(), self.domain, 0, &raw mut id) })?;
        Ok(id)
    }

    /// The server gets what the guest does to these ports.
    pub(crate) fn map_ports(&self, server: u16, first: u64, last: u64) -> Result<()> {
        let map = self.functions.xendevicemodel_map_io_range_to_ioreq_server;
        // SAFETY: the handle is open.
        good(unsafe { map(self.handle.as_ptr(), self.domain, server, 0, first, last) })?;
        Ok(())
    }

    pub(crate) fn enable(&self, server: u16) -> Result<()> {
        let set_state = self.functions.xendevicemodel_set_ioreq_server_state;
        // SAFETY: the handle is open.
        good(unsafe { set_state(self.handle.as_ptr(), self.domain, server, 1) })?;
        Ok(())
    }

    /// Says what a page is to the guest.
    pub(crate) fn set_memory_type(&self, page: u64, memory_type: u16) {
        let set = self.functions.xendevicemodel_set_mem_type;
        // SAFETY: the handle is open.
        let status = unsafe { set(self.handle.as_ptr(), self.domain, memory_type.into(), page, 1) };
        assert_eq!(status, 0);
    }

    /// Tells that a page was written.
    pub(crate) fn modified_memory(&self, page: u64) {
        let modified = self.functions.xendevicemodel_modified_memory;
        // SAFETY: the handle is open.
        let status = unsafe { modified(self.handle.as_ptr(), self.domain, page, 1) };
        assert_eq!(status, 0);
    }
}
