//! Where hypercall arguments live: small ones in mappings that threads share without a lock, large ones in one of their
//! own.
#![expect(unsafe_code, reason = "hands out parts of a mapping")]

use std::cell::Cell;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
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
/// A slab is mapped when those before have no room, or when two threads get in each other's way: few programs need a second one.
/// A thread that finds no room does not wait: the caller maps memory for it alone.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    slabs: [Slab; SLABS],
}

thread_local! {
    /// The slab where this thread looks first, in every pool. Each time it meets another thread there, it moves on, so that they
    /// soon have cache lines of their own.
    static FIRST: Cell<usize> = const { Cell::new(0) };
}

/// Aligned to two cache lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slab {
    memory: OnceLock<HypercallMemory>,
    /// A bit for each unit, changed by compare-and-swap.
    taken: AtomicU64,
}

impl Pool {
    /// Takes units for `length` bytes, for as long as one likes; `None` as for [`Pool::claim`].
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Option<Block> {
        let Claim { address, units } = self.claim(length)?;
        let home = Home::Pool { pool: Arc::clone(self), units };
        Some(Block { address, length: units.count() * UNIT, home })
    }

    /// Takes units for `length` bytes, for as long as the pool is borrowed; `None` as for [`Pool::claim`].
    #[inline]
    pub(crate) fn lend(&self, length: usize) -> Option<Loan<'_>> {
        Some(Loan { claim: self.claim(length)?, pool: self })
    }

    /// Maps one more slab, if there can be one and `length` bytes have room in it: the one where this thread looks first, as a
    /// rule. Without memory for one, the thread moves to a slab that is there.
    pub(crate) fn grow(&self, device: Option<&Device<PrivcmdBuf>>, length: usize) {
        let missing = |index: &usize| self.slabs[*index].memory.get().is_none();
        let Some(index) = from(FIRST.get()).find(missing) else { return };
        if units(length) > PER_SLAB {
            return;
        }
        match HypercallMemory::map(device, UNIT * PER_SLAB) {
            // If another thread was faster, its mapping counts.
            Ok(memory) => drop(self.slabs[index].memory.set(memory)),
            Err(_) => drop(from(index).find(|index| !missing(index)).map(|index| FIRST.set(index))),
        }
    }

    /// Marks units for `length` bytes as taken; `None` if that is too much, or no slab has room.
    #[inline]
    fn claim(&self, length: usize) -> Option<Claim> {
        let count = units(length);
        if count > PER_SLAB {
            return None;
        }
        let first = FIRST.get();
        self.claim_from(first, count).or_else(|| self.search(first, count))
    }

    /// Looks into the other slabs, unless the first one is still to be mapped.
    #[cold]
    fn search(&self, first: usize, count: usize) -> Option<Claim> {
        self.slabs.get(first)?.memory.get()?;
        let claim = from(first).skip(1).find_map(|slab| self.claim_from(slab, count))?;
        FIRST.set(claim.units.slab);
        Some(claim)
    }

    #[inline]
    fn claim_from(&self, index: usize, count: usize) -> Option<Claim> {
        let slab = self.slabs.get(index)?;
        // In a child of the process that mapped it, it is not there.
        let memory = slab.memory.get().filter(|memory| memory.is_here())?;
        let (mask, alone) = slab.take(count)?;
        if !alone {
            FIRST.set((index + 1) % SLABS);
        }
        let start = usize::try_from(mask.trailing_zeros()).unwrap_or_default();
        // Inside the mapping, which has PER_SLAB units.
        let address = NonNull::new(memory.as_mut_ptr().wrapping_add(start * UNIT))?;
        Some(Claim { address, units: Units { slab: index, mask } })
    }

    #[inline]
    fn give_back(&self, units: Units) {
        // Release: whoever takes the units next comes after us.
        self.slabs[units.slab].taken.fetch_and(!units.mask, Ordering::Release);
    }
}

impl Slab {
    /// Marks so many units as taken: which, and whether no other thread was at it.
    #[inline]
    fn take(&self, count: usize) -> Option<(u64, bool)> {
        let mut seen = self.taken.load(Ordering::Relaxed);
        let mut alone = true;
        loop {
            let mask = first_run(!seen, count)?;
            // Acquire: what the former owner did with the units is over.
            match self.taken.compare_exchange(seen, seen | mask, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some((mask, alone)),
                Err(other) => (seen, alone) = (other, false),
            }
        }
    }
}

/// All slabs, from this one on.
fn from(first: usize) -> impl Iterator<Item = usize> {
    (first..first + SLABS).map(|slab| slab % SLABS)
}

/// How many units hold so many bytes.
#[inline]
fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).max(1)
}

/// The first run of `length` ones; `length` is 1 to 64.
#[inline]
fn first_run(bits: u64, length: usize) -> Option<u64> {
    let mut starts = bits; // of runs of `known` ones
    let mut known = 1;
    while known < length {
        let more = known.min(length - known);
        starts &= starts >> more;
        known += more;
    }
    (starts != 0).then(|| (u64::MAX >> (PER_SLAB - length)) << starts.trailing_zeros())
}

/// Units of a pool: some of those of one slab.
#[derive(Clone, Copy, Debug)]
struct Units {
    slab: usize,
    mask: u64,
}

impl Units {
    fn count(self) -> usize {
        usize::try_from(self.mask.count_ones()).unwrap_or(PER_SLAB)
    }
}

/// Units that are taken, and where they are.
#[derive(Debug)]
struct Claim {
    address: NonNull<u8>,
    units: Units,
}

/// Hypercall memory of a pool that belongs to its holder for a while: aligned to [`UNIT`], with anything in it.
#[derive(Debug)]
pub(crate) struct Loan<'a> {
    pool: &'a Pool,
    claim: Claim,
}

impl Loan<'_> {
    /// Where it is.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.claim.address
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.claim.units);
    }
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
    Pool { pool: Arc<Pool>, units: Units },
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
        if let Home::Pool { pool, units } = &self.home {
            pool.give_back(*units);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_sys::linux::fake;

    #[test]
    fn the_first_run_that_is_long_enough_is_found() {
        assert_eq!(first_run(0, 1), None);
        assert_eq!(first_run(u64::MAX, 64), Some(u64::MAX));
        assert_eq!(first_run(u64::MAX << 1, 64), None);
        assert_eq!(first_run(0b1110_1101_0110, 2), Some(0b0110));
        assert_eq!(first_run(0b1110_1101_0110, 3), Some(0b1110_0000_0000));
        assert_eq!(first_run(0b1110_1101_0110, 4), None);
        for length in 1..=64 {
            for start in 0..=64 - length {
                assert_eq!(first_run(mask(start, length), length), Some(mask(start, length)));
                assert_eq!(first_run(mask(start, length) & !(1 << start), length), None);
            }
        }
    }

    #[test]
    fn a_thread_maps_a_slab_of_its_own_and_uses_another_if_it_cannot() {
        let pool = Pool::default();
        let slab = || pool.lend(8).map(|loan| loan.claim.units.slab);
        assert_eq!(slab(), None);
        pool.grow(None, 8);
        assert_eq!(slab(), Some(0));
        FIRST.set(3); // it has met others there
        assert_eq!(slab(), None, "to be mapped");
        let no_memory = fake::install(|_| Err(io::ErrorKind::OutOfMemory.into()));
        pool.grow(None, 8);
        assert_eq!((slab(), FIRST.get()), (Some(0), 0));
        drop(no_memory);
        FIRST.set(3);
        pool.grow(None, 8);
        assert_eq!((slab(), FIRST.get()), (Some(3), 3));
        let all = pool.lend(PER_SLAB * UNIT).expect("the whole slab");
        assert_eq!((slab(), FIRST.get()), (Some(0), 0), "the first one is full");
        drop(all);
    }

    #[test]
    fn threads_do_not_get_the_same_units() {
        let pool = Pool::default();
        std::thread::scope(|scope| {
            for mark in 1_u8..=4 {
                let pool = &pool;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let Some(loan) = pool.lend(8) else {
                            pool.grow(None, 8);
                            continue;
                        };
                        let place = loan.address();
                        // SAFETY: the unit is ours until the loan ends.
                        unsafe { place.write_volatile(mark) };
                        std::thread::yield_now();
                        // SAFETY: as above.
                        let seen = unsafe { place.read_volatile() };
                        assert_eq!(seen, mark, "somebody else's");
                    }
                });
            }
        });
        assert!(pool.slabs.iter().all(|slab| slab.taken.load(Ordering::Relaxed) == 0), "all are back");
    }

    /// `length` ones, `start` zeros below them.
    fn mask(start: usize, length: usize) -> u64 {
        (start..start + length).fold(0, |mask, bit| mask | 1 << bit)
    }
}
