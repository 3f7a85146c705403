//! Grants of dom0 to itself.
#![expect(unsafe_code, reason = "prepared system calls")]

use crate::c;
use crate::floor::{self, Prepared};
use crate::operation::{Operation, Side};
use anyhow::Result;
use std::os::fd::AsFd;
use std::rc::Rc;
use xen_gnttab::{CopySegment, DomId, Gntalloc, Gnttab, Grant, SharedPages};
use xen_sys::linux::gntalloc::{AllocGref, DeallocGref};
use xen_sys::linux::gntdev::{GrantCopy, MapGrantRef, UnmapGrantRef};

pub(super) fn operations() -> Result<Vec<Operation>> {
    let pages = Rc::new(Gntalloc::open()?.share(DomId::ZERO, 512)?);
    let mut operations = Vec::new();
    for count in [1, 32, 512] {
        operations.push(map(&pages, count)?);
    }
    for count in [1, 16, 256] {
        operations.push(copy(&pages, count)?);
    }
    for count in [1, 16] {
        operations.push(share(count)?);
    }
    Ok(operations)
}

fn map(pages: &Rc<SharedPages>, count: u32) -> Result<Operation> {
    let gnttab = Gnttab::open()?;
    let references = pages.grants()[..count as usize].to_vec();
    let mut raw: Vec<_> = references.iter().map(|reference| reference.get()).collect();

    let floor = floor_of_map(pages, count)?;
    let keep = Rc::clone(pages);
    let ours = Side::with(keep, move |_| {
        drop(gnttab.map(DomId::ZERO, &references).expect("mapped"));
    });
    let c = c::Gnttab::open().map(|c| Side::new(move || c.map_and_unmap(0, &mut raw)));
    Ok(Operation::new(format!("map and unmap {count}"), ours).units(count).c(c).floor(floor))
}

fn floor_of_map(pages: &SharedPages, count: u32) -> Result<Side> {
    let gnttab = Gnttab::open()?;
    let grants = pages.grants().iter().map(|&reference| Grant::new(DomId::ZERO, reference));
    // SAFETY: there are no addresses in it.
    let mut map = MapGrantRef::with(count, grants, |request| unsafe { Prepared::new(request) });
    Ok(Side::new(move || {
        let device = gnttab.as_fd();
        map.send(device);
        let index = map.word(1);
        let memory = floor::map(device, index, count as usize * 4096);
        floor::ioctl(device, &mut UnmapGrantRef { index, count, padding: 0 });
        memory.unmap();
    }))
}

type Page = [u8; 4096];

/// Memory for the rest of the program.
fn memory(pages: u32) -> impl Iterator<Item = &'static mut Page> {
    vec![[0; 4096]; pages as usize].leak().iter_mut()
}

fn segments(pages: &SharedPages, count: u32) -> Result<Vec<CopySegment<'static>>> {
    let grants = pages.grants().iter().map(|&reference| Grant::new(DomId::ZERO, reference));
    let segments = memory(count).zip(grants).map(|(page, grant)| CopySegment::from_grant(grant, 0, page));
    Ok(segments.collect::<Result<_, _>>()?)
}

/// Copying whole pages out, as one segment each.
fn copy(pages: &Rc<SharedPages>, count: u32) -> Result<Operation> {
    let gnttab = Gnttab::open()?;
    let mut ours = segments(pages, count)?;
    let keep = Rc::clone(pages);
    let ours = Side::with(keep, move |_| gnttab.copy(&mut ours).expect("copied"));

    let references = pages.grants().iter();
    let mut raw: Vec<_> = memory(count)
        .zip(references)
        .map(|(page, reference)| c::CopySegment::new(0, reference.get(), page))
        .collect();
    let c = c::Gnttab::open().map(|c| Side::new(move || c.copy(&mut raw)));

    let gnttab = Gnttab::open()?;
    let mut request = GrantCopy::new(segments(pages, count)?.leak()).expect("few");
    // SAFETY: the list of segments and what they fill is for the rest of the program.
    let mut request = unsafe { Prepared::new(&mut request) };
    let floor = Side::new(move || {
        request.send(gnttab.as_fd());
    });
    Ok(Operation::new(format!("copy {count} x 4 KiB"), ours).units(count).c(c).floor(floor))
}

fn share(count: u32) -> Result<Operation> {
    let gntalloc = Gntalloc::open()?;
    let ours = Side::new(move || drop(gntalloc.share(DomId::ZERO, count as usize).expect("shared")));

    let mut references = vec![0; count as usize];
    let c = c::Gntshr::open().map(|c| Side::new(move || c.share_and_release(0, &mut references)));

    let gntalloc = Gntalloc::open()?;
    // SAFETY: there are no addresses in it.
    let mut share = AllocGref::with(DomId::ZERO, count, true, |request| unsafe { Prepared::new(request) });
    let floor = Side::new(move || {
        let device = gntalloc.as_fd();
        share.send(device);
        let index = share.word(1);
        let memory = floor::map(device, index, count as usize * 4096);
        floor::ioctl(device, &mut DeallocGref { index, count, padding: 0 });
        memory.unmap();
    });
    Ok(Operation::new(format!("share and release {count}"), ours).units(count).c(c).floor(floor))
}
