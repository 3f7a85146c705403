//! libxenctrl
#![expect(unsafe_code, reason = "calls C")]

use super::{Handle, ctrl_file, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

library!(Functions {
    fn xc_interface_open(*mut c_void, *mut c_void, c_uint) -> *mut c_void;
    fn xc_interface_close(*mut c_void) -> c_int;
    fn xc_version(*mut c_void, c_int, *mut c_void) -> c_int;
    fn xc_domain_getinfolist(*mut c_void, u32, c_uint, *mut c_void) -> c_int;
    fn xc_readconsolering(*mut c_void, *mut u8, *mut c_uint, c_int, c_int, *mut u32) -> c_int;
});

// Xen 4.18 and later.
library!(OneDomain {
    fn xc_domain_getinfo_single(*mut c_void, u32, *mut c_void) -> c_int;
});

// Before.
library!(Domains {
    fn xc_domain_getinfo(*mut c_void, u32, c_uint, *mut c_void) -> c_int;
});

/// What the library writes about a domain, whatever its version.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct DomainInfo([u8; 256]);

/// The function that tells of one domain.
enum Info {
    One(OneDomain),
    First(Domains),
}

pub(crate) struct Ctrl {
    functions: Functions,
    info: Info,
    handle: Handle,
}

impl Ctrl {
    pub(crate) fn open() -> Result<Self> {
        let file = ctrl_file()?;
        let functions = Functions::load(&file)?;
        let info = OneDomain::load(&file).map(Info::One);
        let info = info.or_else(|_| Domains::load(&file).map(Info::First))?;
        // SAFETY: no loggers and no flags are fine.
        let handle = unsafe { (functions.xc_interface_open)(null_mut(), null_mut(), 0) };
        // SAFETY: it was opened just now, and the function closes it.
        let handle = unsafe { Handle::new("xc_interface", handle, functions.xc_interface_close) }?;
        Ok(Self { functions, info, handle })
    }

    /// 32 of the hypervisor's features.
    pub(crate) fn features(&self, index: u32) -> u32 {
        const GET_FEATURES: c_int = 6;
        let mut record = [index, 0];
        let place = record.as_mut_ptr().cast();
        // SAFETY: the handle is open; the record is `struct xen_feature_info`.
        let status = unsafe { (self.functions.xc_version)(self.handle.as_ptr(), GET_FEATURES, place) };
        assert_eq!(status, 0);
        record[1]
    }

    /// What is known of a domain; here, of its first bytes.
    pub(crate) fn domain_info(&self, domain: u32) -> u8 {
        let mut info = DomainInfo([0; 256]);
        let (handle, place) = (self.handle.as_ptr(), (&raw mut info).cast());
        match &self.info {
            Info::One(functions) => {
                // SAFETY: the handle is open; no version's record is as long as ours.
                let status = unsafe { (functions.xc_domain_getinfo_single)(handle, domain, place) };
                assert_eq!(status, 0);
            }
            Info::First(functions) => {
                // SAFETY: as above, and it is for one record.
                let count = unsafe { (functions.xc_domain_getinfo)(handle, domain, 1, place) };
                assert_eq!(count, 1);
            }
        }
        info.0[0]
    }

    /// How many domains there are, with what is known of them in `records`.
    pub(crate) fn domains(&self, records: &mut DomainRecords) -> usize {
        let room = c_uint::try_from(records.0.len()).expect("few");
        let place = records.0.as_mut_ptr().cast();
        // SAFETY: the handle is open; no version's record is as long as ours.
        let count = unsafe { (self.functions.xc_domain_getinfolist)(self.handle.as_ptr(), 0, room, place) };
        usize::try_from(count).expect("the list")
    }

    /// Reads the hypervisor's console from the oldest byte on; how many bytes there are.
    pub(crate) fn read_console(&self, buffer: &mut [u8]) -> usize {
        let mut count = c_uint::try_from(buffer.len()).expect("short");
        let (handle, place) = (self.handle.as_ptr(), buffer.as_mut_ptr());
        // SAFETY: the handle is open; the buffer has as many bytes as `count` says; no position is wanted.
        let status =
            unsafe { (self.functions.xc_readconsolering)(handle, place, &raw mut count, 0, 0, null_mut()) };
        assert_eq!(status, 0);
        usize::try_from(count).expect("short")
    }
}

/// Room for what is known of domains.
pub(crate) struct DomainRecords(Vec<DomainInfo>);

impl DomainRecords {
    pub(crate) fn new(room: usize) -> Self {
        Self(vec![DomainInfo([0; 256]); room])
    }
}
