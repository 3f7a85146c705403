//! What an item costs as there are more of them.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use crate::memfd;
use anyhow::Result;
use benches::results::Items;
use std::time::{Duration, Instant};
use xen_call::Xencall;
use xen_ctrl::Xenctrl;
use xen_ctrl::domain::DomainList;
use xen_evtchn::{Evtchn, Port};
use xen_foreignmem::{DomId, ForeignMemory, Gfn};
use xen_gnttab::{Gnttab, GrantRef};
use xen_sys::linux::fake::{self, Call};
use xen_sys::xen_public::domctl::DomainInfo416;
use xen_sys::zerocopy::{FromZeros, IntoBytes};

/// The numbers of items.
const COUNTS: [u32; 7] = [16, 64, 256, 1000, 4096, 16384, 65536];

pub(crate) fn items() -> Result<Vec<Items>> {
    Ok(vec![
        row("map and unmap frames", 65536, frames)?,
        row("take and unmask ports", 4096, ports)?,
        row("map and unmap grants", 4096, grants)?,
        row("list domains", 1000, domains)?,
    ])
}

/// Measures an operation with more and more items, up to `most`.
fn row(name: &str, most: u32, measure: fn(usize) -> Result<Duration>) -> Result<Items> {
    let nanoseconds = COUNTS.into_iter().filter(|&count| count <= most).map(|count| {
        let time = 1e9 * measure(count.try_into()?)?.as_secs_f64();
        Ok((count, time / f64::from(count)))
    });
    Ok(Items { name: name.to_owned(), nanoseconds: nanoseconds.collect::<Result<_>>()? })
}

/// The least time that an operation takes, of many tries.
fn least(mut operation: impl FnMut()) -> Duration {
    let tries = (0..50).map(|_| {
        let start = Instant::now();
        operation();
        start.elapsed()
    });
    tries.min().unwrap_or_default()
}

/// The fake kernel says that all frames are mapped. Their memory is never touched.
fn frames(count: usize) -> Result<Duration> {
    let _kernel = fake::install(|_| Ok(0));
    // SAFETY: the fake kernel takes every request.
    let memory = unsafe { ForeignMemory::from_fd(memfd(1 << 28)?) }?;
    let frames: Vec<_> = (0..).take(count).map(Gfn::new).collect();
    Ok(least(|| drop(memory.map(DomId::ZERO, &frames).expect("mapped"))))
}

/// The fake kernel has ports for ever, up to 1024 at a time, as the real one.
fn ports(count: usize) -> Result<Duration> {
    const MOST: usize = 4096;
    let _kernel = fake::install(|call| match call {
        Call::Read { buffer } => Ok(buffer.len().min(MOST)),
        Call::Write { bytes } => Ok(bytes.len().min(MOST)),
        _ => Ok(1),
    });
    // SAFETY: the fake kernel takes every request.
    let evtchn = unsafe { Evtchn::from_fd(memfd(4096)?) }?;
    let mut ports = vec![Port::default(); count];
    Ok(least(|| {
        for ports in ports.chunks_mut(1024) {
            evtchn.wait(None).expect("waited");
            let taken = evtchn.pending(ports).expect("ports");
            evtchn.unmask(&ports[..taken]).expect("unmasked");
        }
    }))
}

/// The fake kernel says that all grants are mapped. Their memory is never touched.
fn grants(count: usize) -> Result<Duration> {
    let _kernel = fake::install(|_| Ok(0));
    // SAFETY: the fake kernel takes every request.
    let gnttab = unsafe { Gnttab::from_fd(memfd(1 << 24)?) }?;
    let references: Vec<_> = (8..).take(count).map(GrantRef::new).collect();
    Ok(least(|| drop(gnttab.map(DomId::ZERO, &references).expect("mapped"))))
}

const HYPERCALL: u32 = 0x0030_5000;

/// The fake hypervisor is Xen 4.17 with this many domains.
fn domains(count: usize) -> Result<Duration> {
    const SYSCTL: u64 = 35;
    const GET_DOMAIN_INFO_LIST: u32 = 6;
    let _kernel = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let word =
            |index: usize| operand[index * 8..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        if word(0) == SYSCTL {
            let record = std::ptr::with_exposed_provenance_mut::<[u8; 136]>(
                usize::try_from(word(1)).expect("64 bits"),
            );
            // SAFETY: the record of a sysctl, at which nobody looks meanwhile.
            let record = unsafe { &mut *record };
            if record[..4] == GET_DOMAIN_INFO_LIST.to_ne_bytes() {
                tell_of_domains(record, count);
            }
        }
        Ok(0x4_0011)
    });
    // SAFETY: the fake kernel takes every request.
    let xencall = unsafe { Xencall::from_fds(memfd(1 << 22)?, Some(memfd(1 << 22)?)) }?;
    let xen = Xenctrl::new(xencall)?;
    let mut list = DomainList::new(&xen)?;
    anyhow::ensure!(list.read()?.len() == count, "the fake hypervisor tells of other domains");
    Ok(least(|| drop(list.read().expect("the list"))))
}

/// Fills the list that a record asks for.
fn tell_of_domains(record: &mut [u8; 136], count: usize) {
    let first = u16::from_ne_bytes([record[8], record[9]]);
    let word = |at: usize| record[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let room = usize::try_from(word(12)).expect("64 bits");
    let address = record[16..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let place =
        std::ptr::with_exposed_provenance_mut::<DomainInfo416>(usize::try_from(address).expect("64 bits"));
    let told = count.saturating_sub(first.into()).min(room);
    // SAFETY: the hypercall says that there is room for as many.
    let list = unsafe { std::slice::from_raw_parts_mut(place, told) };
    for (id, info) in (first..).zip(list) {
        *info = DomainInfo416::new_zeroed();
        info.as_mut_bytes()[..2].copy_from_slice(&id.to_ne_bytes());
    }
    record[24..28].copy_from_slice(&u32::try_from(told).expect("few").to_ne_bytes());
}
