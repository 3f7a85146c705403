//! libxengnttab
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};

library!(Functions {
    fn xengnttab_open(*mut c_void, c_uint) -> *mut c_void;
    fn xengnttab_close(*mut c_void) -> c_int;
    fn xengnttab_map_domain_grant_refs(*mut c_void, u32, u32, *mut u32, c_int) -> *mut c_void;
    fn xengnttab_unmap(*mut c_void, *mut c_void, u32) -> c_int;
    fn xengnttab_grant_copy(*mut c_void, u32, *mut CopySegment) -> c_int;
    fn xengntshr_open(*mut c_void, c_uint) -> *mut c_void;
    fn xengntshr_close(*mut c_void) -> c_int;
    fn xengntshr_share_pages(*mut c_void, u32, c_int, *mut u32, c_int) -> *mut c_void;
    fn xengntshr_unshare(*mut c_void, *mut c_void, u32) -> c_int;
});

const FILE: &str = "libxengnttab.so.1";

pub(crate) struct Gnttab {
    functions: Functions,
    handle: Handle,
}

impl Gnttab {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load(FILE)?;
        // SAFETY: the functions belong together.
        let handle =
            unsafe { Handle::open("xengnttab", functions.xengnttab_open, functions.xengnttab_close) }?;
        Ok(Self { functions, handle })
    }

    /// Maps grants of one domain for reading and writing, and unmaps them.
    pub(crate) fn map_and_unmap(&self, domain: u32, references: &mut [u32]) {
        let count = u32::try_from(references.len()).expect("few");
        let (handle, references) = (self.handle.as_ptr(), references.as_mut_ptr());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let map = self.functions.xengnttab_map_domain_grant_refs;
        // SAFETY: the handle is open, and there are as many references.
        let memory = unsafe { map(handle, count, domain, references, protection) };
        assert!(!memory.is_null());
        // SAFETY: it was mapped above, and nobody uses it.
        let status = unsafe { (self.functions.xengnttab_unmap)(handle, memory, count) };
        assert_eq!(status, 0);
    }

    /// Copies, and looks at every status.
    pub(crate) fn copy(&self, segments: &mut [CopySegment]) {
        let count = u32::try_from(segments.len()).expect("few");
        // SAFETY: the handle is open; each segment has memory of its own.
        let status = unsafe {
            (self.functions.xengnttab_grant_copy)(self.handle.as_ptr(), count, segments.as_mut_ptr())
        };
        assert_eq!(status, 0);
        assert!(segments.iter().all(|segment| segment.status == 0));
    }
}

/// `struct xengnttab_grant_copy_segment`, from a grant to memory.
#[repr(C)]
pub(crate) struct CopySegment {
    reference: u32,
    offset: u16,
    domain: u16,
    target: *mut c_void,
    length: u16,
    flags: u16,
    status: i16,
}

impl CopySegment {
    /// Copies the whole page `reference` of `domain`.
    pub(crate) fn new(domain: u16, reference: u32, target: &'static mut [u8; 4096]) -> Self {
        const SOURCE_GRANT: u16 = 1;
        let target = target.as_mut_ptr().cast();
        Self { reference, offset: 0, domain, target, length: 4096, flags: SOURCE_GRANT, status: 0 }
    }
}

pub(crate) struct Gntshr {
    functions: Functions,
    handle: Handle,
}

impl Gntshr {
    pub(crate) fn open() -> Result<Self> {
        let functions = Functions::load(FILE)?;
        // SAFETY: the functions belong together.
        let handle =
            unsafe { Handle::open("xengntshr", functions.xengntshr_open, functions.xengntshr_close) }?;
        Ok(Self { functions, handle })
    }

    /// Shares as many pages as `references` has room for, writable, and ends that.
    pub(crate) fn share_and_release(&self, domain: u32, references: &mut [u32]) {
        let count = c_int::try_from(references.len()).expect("few");
        let (handle, references) = (self.handle.as_ptr(), references.as_mut_ptr());
        // SAFETY: the handle is open, and there is room for as many references.
        let memory = unsafe { (self.functions.xengntshr_share_pages)(handle, domain, count, references, 1) };
        assert!(!memory.is_null());
        // SAFETY: it was shared above, and nobody uses it.
        let status = unsafe { (self.functions.xengntshr_unshare)(handle, memory, count.unsigned_abs()) };
        assert_eq!(status, 0);
    }
}
