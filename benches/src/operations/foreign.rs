//! A guest's memory.
#![expect(unsafe_code, reason = "unmaps what C mapped; copies as C does")]

use crate::domain::BareDomain;
use crate::operation::{Operation, Side};
use crate::{c, floor};
use anyhow::Result;
use std::hint::black_box;
use std::os::fd::AsFd;
use std::rc::Rc;
use xen_foreignmem::{ForeignMemory, Gfn, MapCache};

const MIB: usize = 1 << 20;

pub(super) fn operations() -> Result<Vec<Operation>> {
    let guest = Rc::new(BareDomain::new(65536)?);
    let mut operations = Vec::new();
    for count in [1, 64, 1024, 65536] {
        operations.push(map(&guest, count)?);
    }
    operations.push(hit(&guest)?);
    operations.push(miss(&guest)?);
    for (name, length) in [("64 B", 64), ("4 KiB", 4096), ("1 MiB", MIB)] {
        operations.push(copy_out(&guest, name, length)?);
        operations.push(copy_in(&guest, name, length)?);
    }
    Ok(operations)
}

/// Whose memory goes on to be there for as long as the sides are measured.
fn keeping(guest: &Rc<BareDomain>, mut run: impl FnMut() + 'static) -> Side {
    Side::prepared(Rc::clone(guest), |_| (), move |_| run())
}

fn map(guest: &Rc<BareDomain>, count: u32) -> Result<Operation> {
    let memory = ForeignMemory::open()?;
    let domain = guest.id();
    let frames: Vec<_> = (0..count.into()).map(Gfn::new).collect();
    let numbers: Vec<_> = (0..u64::from(count)).collect();
    let ours = keeping(guest, move || drop(memory.map(domain, &frames).expect("mapped")));

    let list = numbers.clone();
    let c = c::ForeignMemory::open().map(|c| {
        keeping(guest, move || {
            let mapped = c.map(domain.get().into(), &list);
            // SAFETY: it was mapped just now.
            unsafe { c.unmap(mapped, list.len()) };
        })
    });

    let memory = ForeignMemory::open()?;
    let mut statuses = vec![0; numbers.len()];
    let floor = keeping(guest, move || {
        floor::map_foreign(memory.as_fd(), domain.get(), &numbers, &mut statuses).unmap();
    });
    Ok(Operation::new(format!("map and unmap {count}"), ours).units(count).c(c).floor(floor))
}

/// Reading a word through a cache of 64 buckets of 16 frames, where it is mapped.
fn hit(guest: &Rc<BareDomain>) -> Result<Operation> {
    const PLACE: u64 = 5 * 4096 + 8;
    let cache = cache(guest, 64 * 16)?;
    let ours = keeping(guest, move || {
        black_box(cache.read::<u64>(black_box(PLACE)).expect("memory"));
    });
    let c = c::MapCache::new(guest.id().get().into(), 64);
    let c = c.map(|c| {
        keeping(guest, move || {
            black_box(c.read(black_box(PLACE)));
        })
    });
    Ok(Operation::new("cache hit", ours).repeat(100).c(c))
}

/// The same where it is not, and another bucket has to go for it.
fn miss(guest: &Rc<BareDomain>) -> Result<Operation> {
    let other = |address: &mut u64| {
        *address ^= 16 * 4096;
        *address
    };
    let cache = cache(guest, 16)?;
    let mut address = 8;
    let ours = keeping(guest, move || {
        black_box(cache.read::<u64>(other(&mut address)).expect("memory"));
    });
    let c = c::MapCache::new(guest.id().get().into(), 1);
    let mut address = 8;
    let c = c.map(|c| {
        keeping(guest, move || {
            black_box(c.read(other(&mut address)));
        })
    });
    Ok(Operation::new("cache miss", ours).c(c))
}

fn cache(guest: &Rc<BareDomain>, frames: usize) -> Result<MapCache> {
    Ok(ForeignMemory::open()?.cache(guest.id(), frames))
}

/// How often a copy is repeated between two looks at the clock.
fn repetitions(length: usize) -> u32 {
    u32::try_from(MIB / length).unwrap_or(1).min(1000)
}

/// From a guest's memory; the other side is `memcpy`, on the same memory.
fn copy_out(guest: &Rc<BareDomain>, name: &str, length: usize) -> Result<Operation> {
    let memory = ForeignMemory::open()?;
    let mapping = Rc::new(memory.map_range(guest.id(), Gfn::new(0), MIB / 4096)?);
    let mut target = vec![0; length];
    let source = Rc::clone(&mapping);
    let ours = keeping(guest, move || source.copy_to_slice(0, &mut target).expect("inside"));
    let mut target = vec![0_u8; length];
    let c = keeping(guest, move || {
        let source = mapping.page_ptr(0).expect("the first one");
        // SAFETY: so much is mapped, in one piece, and nobody writes there.
        unsafe { libc::memcpy(target.as_mut_ptr().cast(), source.cast(), black_box(length)) };
    });
    Ok(Operation::new(format!("copy {name} out"), ours).repeat(repetitions(length)).c(Ok(c)))
}

/// To a guest's memory.
fn copy_in(guest: &Rc<BareDomain>, name: &str, length: usize) -> Result<Operation> {
    let memory = ForeignMemory::open()?;
    let mapping = Rc::new(memory.map_range(guest.id(), Gfn::new(0), MIB / 4096)?);
    let source = vec![1; length];
    let target = Rc::clone(&mapping);
    let ours = keeping(guest, move || target.copy_from_slice(0, &source).expect("inside"));
    let source = vec![1_u8; length];
    let c = keeping(guest, move || {
        let target = mapping.page_ptr(0).expect("the first one");
        // SAFETY: so much is mapped, in one piece, and nobody uses it.
        unsafe { libc::memcpy(target.cast(), source.as_ptr().cast(), black_box(length)) };
    });
    Ok(Operation::new(format!("copy {name} in"), ours).repeat(repetitions(length)).c(Ok(c)))
}
