//! Opening and closing handles.

use crate::operation::{Operation, Side};
use crate::{c, floor};
use anyhow::Result;
use std::ffi::CStr;
use xen_call::Xencall;
use xen_ctrl::{DeviceModel, DomId, Xenctrl};
use xen_evtchn::Evtchn;
use xen_foreignmem::ForeignMemory;
use xen_gnttab::{Gntalloc, Gnttab};

const EVTCHN: &CStr = c"/dev/xen/evtchn";
const GNTDEV: &CStr = c"/dev/xen/gntdev";
const GNTALLOC: &CStr = c"/dev/xen/gntalloc";
const PRIVCMD: &CStr = c"/dev/xen/privcmd";

#[expect(clippy::unnecessary_wraps, reason = "a group may fail")]
pub(super) fn operations() -> Result<Vec<Operation>> {
    let c = |file, prefix| c::open_and_close(file, prefix).map(Side::new);
    let interface = c::open_and_close_interface().map(Side::new);
    Ok(vec![
        handle("evtchn", EVTCHN, || drop(Evtchn::open().expect("opened")))
            .c(c("libxenevtchn.so.1", "xenevtchn")),
        handle("gnttab", GNTDEV, || drop(Gnttab::open().expect("opened")))
            .c(c("libxengnttab.so.1", "xengnttab")),
        handle("gntalloc", GNTALLOC, || drop(Gntalloc::open().expect("opened")))
            .c(c("libxengnttab.so.1", "xengntshr")),
        handle("call", PRIVCMD, || drop(Xencall::open().expect("opened"))).c(c("libxencall.so.1", "xencall")),
        handle("foreignmem", PRIVCMD, || drop(ForeignMemory::open().expect("opened")))
            .c(c("libxenforeignmemory.so.1", "xenforeignmemory")),
        handle("devicemodel", PRIVCMD, || drop(DeviceModel::open(DomId::ZERO).expect("opened")))
            .c(c("libxendevicemodel.so.1", "xendevicemodel")),
        handle("ctrl", PRIVCMD, || drop(Xenctrl::open().expect("opened"))).c(interface),
    ])
}

fn handle(name: &str, device: &'static CStr, open: impl FnMut() + 'static) -> Operation {
    let floor = Side::new(move || floor::open_and_close(device));
    Operation::new(format!("open and close {name}"), Side::new(open)).floor(floor)
}
