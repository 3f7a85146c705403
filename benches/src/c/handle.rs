//! What all libraries have: a function that opens a handle, and one that closes it.
#![expect(unsafe_code, reason = "calls C")]

use super::{ctrl_file, library};
use anyhow::Result;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

type Open = unsafe extern "C" fn(*mut c_void, c_uint) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

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
