//! What all libraries have: a function that opens a handle, and one that closes it.
#![expect(unsafe_code, reason = "calls C")]

use super::{ctrl_file, library};
use anyhow::{Context, Result};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};

type Open = unsafe extern "C" fn(*mut c_void, c_uint) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

/// An open handle of a library's, which is closed with this.
pub(crate) struct Handle {
    handle: NonNull<c_void>,
    close: Close,
}

impl Handle {
    /// Opens one.
    ///
    /// # Safety
    ///
    /// These are a library's functions that open and close a handle.
    pub(super) unsafe fn open(prefix: &str, open: Open, close: Close) -> Result<Self> {
        // SAFETY: no logger and no flags are fine.
        let handle = unsafe { open(null_mut(), 0) };
        // SAFETY: the caller's promise.
        unsafe { Self::new(prefix, handle, close) }
    }

    /// Takes over what `PREFIX_open` gave: a handle, or null.
    ///
    /// # Safety
    ///
    /// Nobody else closes it, and `close` does.
    pub(super) unsafe fn new(prefix: &str, handle: *mut c_void, close: Close) -> Result<Self> {
        Ok(Self { handle: NonNull::new(handle).with_context(|| format!("{prefix}_open"))?, close })
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.handle.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        unsafe { (self.close)(self.handle.as_ptr()) };
    }
}

/// Opens a handle with `PREFIX_open`, and closes it, each time it is called.
pub(crate) fn open_and_close(file: &str, prefix: &str) -> Result<impl FnMut() + use<>> {
    // SAFETY: Xen's libraries do nothing when they are loaded.
    let library = Box::leak(Box::new(unsafe { libloading::Library::new(file) }?));
    // SAFETY: every library has this function, of this type.
    let open = unsafe { library.get::<Open>(format!("{prefix}_open\0").as_bytes()) }?;
    // SAFETY: and this one.
    let close = unsafe { library.get::<Close>(format!("{prefix}_close\0").as_bytes()) }?;
    Ok(move || {
        // SAFETY: no logger and no flags are fine.
        let handle = unsafe { open(null_mut(), 0) };
        assert!(!handle.is_null());
        // SAFETY: it was opened above.
        unsafe { close(handle) };
    })
}

library!(Interface {
    fn xc_interface_open(*mut c_void, *mut c_void, c_uint) -> *mut c_void;
    fn xc_interface_close(*mut c_void) -> c_int;
});

/// The same for the control interface, whose function takes one argument more.
pub(crate) fn open_and_close_interface() -> Result<impl FnMut()> {
    let functions = Interface::load(&ctrl_file()?)?;
    Ok(move || {
        // SAFETY: no loggers and no flags are fine.
        let handle = unsafe { (functions.xc_interface_open)(null_mut(), null_mut(), 0) };
        assert!(!handle.is_null());
        // SAFETY: it was opened above.
        unsafe { (functions.xc_interface_close)(handle) };
    })
}
