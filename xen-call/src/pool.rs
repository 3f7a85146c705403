//! Where hypercall arguments live: small ones in mappings that threads share without a lock, large ones in one of their
//! own.
#![expect(unsafe_code, reason = "hands out parts of a mapping")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use xen_sys::linux::Device;
use xen_sys::linux::hypercall_memory::HypercallMemory;
use xen_sys::linux::privcmd::PrivcmdBuf;

/// Unit of allocation, in bytes, and alignment of everything: a domctl fits.
pub(crate) const UNIT: usize = 256;
/// Units per slab: the most that one allocation from the pool takes.
const PER_SLAB: usize = 64;
const SLABS: usize = 8;

/// Slabs of memory cut into units, each of which is free or taken.
///
/// A slab is mapped when those before have no room: few programs need a second one. A thread that finds no room does not wait: the
/// caller maps memory for it alone.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    slabs: [Slab; SLABS],
    /// Where the next search begins, so that threads do not all fight for the first slab.
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct Slab {
    memory: OnceLock<HypercallMemory>,
    /// A bit for each unit, changed by compare-and-swap.
    taken: AtomicU64,
}

impl Pool {
    /// Takes units for `length` bytes; `None` if that is too much, or no room is left, or this is a child of the process
    /// that has the pool, or there is no memory.
    pub(crate) fn take(
        self: &Arc<Self>,
        device: Option<&Device<PrivcmdBuf>>,
        length: usize,
    ) -> Option<Block> {
        let units = length.div_ceil(UNIT).max(1);
        if units > PER_SLAB {
            return None;
        }
        let mapped = self.search(units, |slab| slab.memory.get());
        mapped.or_else(|| self.search(units, |slab| slab.map(device)))
    }

    fn search<'a>(
        self: &'a Arc<Self>,
        units: usize,
        memory: impl Fn(&'a Slab) -> Option<&'a HypercallMemory>,
    ) -> Option<Block> {
        let first = self.next.load(Ordering::Relaxed);
        (0..SLABS).map(|step| (first + step) % SLABS).find_map(|index| {
            let slab = self.slabs.get(index)?;
            let memory = memory(slab).filter(|memory| memory.is_here())?;
            let start = slab.take(units)?;
            self.next.store(index, Ordering::Relaxed);
            // Inside the mapping, which has PER_SLAB units.
            let address = NonNull::new(memory.as_mut_ptr().wrapping_add(start * UNIT))?;
            let home = Home::Pool { pool: Arc::clone(self), slab: index, mask: mask(start, units) };
            Some(Block { address, length: units * UNIT, home })
        })
    }
}

impl Slab {
    /// The memory, which is mapped if it is not.
    fn map(&self, device: Option<&Device<PrivcmdBuf>>) -> Option<&HypercallMemory> {
        if self.memory.get().is_none() {
            // If another thread was faster, its mapping counts.
            let _ = self.memory.set(HypercallMemory::map(device, UNIT * PER_SLAB).ok()?);
        }
        self.memory.get()
    }

    fn take(&self, units: usize) -> Option<usize> {
        let mut seen = self.taken.load(Ordering::Relaxed);
        loop {
            let start = (0..=PER_SLAB - units).find(|&start| seen & mask(start, units) == 0)?;
            // Acquire: what the former owner did with the units is over.
            let claim = seen | mask(start, units);
            match self.taken.compare_exchange_weak(seen, claim, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(start),
                Err(other) => seen = other,
            }
        }
    }
}

/// `units` bits from `start` on.
const fn mask(start: usize, units: usize) -> u64 {
    let ones = if units >= PER_SLAB { u64::MAX } else { (1 << units) - 1 };
    ones << start
}

/// Hypercall memory that belongs to its holder: at least as long as asked for, aligned to [`UNIT`], with anything in it.
#[derive(Debug)]
pub(crate) struct Block {
    address: NonNull<u8>,
    length: usize,
    home: Home,
}

#[derive(Debug)]
enum Home {
    /// Units of a pool.
    Pool { pool: Arc<Pool>, slab: usize, mask: u64 },
    /// A mapping of its own, unmapped on drop.
    Own { _memory: HypercallMemory },
}

// SAFETY: the block's bytes are the holder's alone, like those of a `Box`; the pool is shared by atomics.
unsafe impl Send for Block {}
// SAFETY: a shared block gives nothing but its address.
unsafe impl Sync for Block {}

impl Block {
    /// A mapping of its own.
    pub(crate) fn map(device: Option<&Device<PrivcmdBuf>>, length: usize) -> io::Result<Self> {
        let memory = HypercallMemory::map(device, length)?;
        let address = NonNull::new(memory.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, length: memory.len(), home: Home::Own { _memory: memory } })
    }

    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Home::Pool { pool, slab, mask } = &self.home {
            // Release: whoever takes the units next comes after us.
            pool.slabs[*slab].taken.fetch_and(!mask, Ordering::Release);
        }
    }
}
