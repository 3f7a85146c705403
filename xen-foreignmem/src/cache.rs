//! A guest's memory by address, mapped as needed.

use crate::frames::Plan;
use crate::{Error, ForeignMemory, PartialMapping};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use xen_sys::zerocopy::{FromBytes, Immutable, IntoBytes};
use xen_sys::{Access, AccessError, DomId, Gfn, PAGE_SIZE, ReadWrite};

/// So many frames are mapped together.
const BUCKET_FRAMES: usize = 16;
const BUCKET_SIZE: usize = BUCKET_FRAMES * PAGE_SIZE;

/// Reads and writes a domain's memory by guest-physical address; made by [`ForeignMemory::cache`].
///
/// To map a frame costs a hypercall or more, so what was used stays mapped, as long as there is room: then what was not used for
/// the longest time goes. Frames are mapped in groups of 16. An access may cross any border.
///
/// Threads may share a cache. Accesses to what is mapped run side by side; while one thread maps, the others go on.
///
/// # Memory that the guest gives back
///
/// A frame that is mapped does not go away under an access. But when a guest gives a frame back (by ballooning, say) and
/// gets another one for that address, the cache still has the old one. Whoever learns of that calls
/// [`MapCache::invalidate`], and a device model must. An address without memory is [`Error::NotPresent`]; it is tried
/// anew each time.
#[doc(alias = "xen_map_cache")]
pub struct MapCache<A: Access = ReadWrite> {
    memory: ForeignMemory,
    plan: Plan,
    /// How many buckets may be mapped.
    capacity: usize,
    buckets: RwLock<Buckets<A>>,
    /// Together with the misses, it is the time by which the oldest bucket is found.
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Buckets<A: Access> {
    /// By the address of the first frame, in units of a bucket.
    mapped: HashMap<u64, Bucket<A>, BuildHasherDefault<Spread>>,
    /// How often something was invalidated: what is being mapped meanwhile may be out of date.
    invalidations: u64,
}

struct Bucket<A: Access> {
    mapping: PartialMapping<A>,
    last_used: AtomicU64,
}

/// Makes a hash of a bucket's number, by a multiplication that spreads it. A guest that chooses addresses whose numbers fall
/// together gains nothing but a slow device model of its own.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio; what table and hash look at are the low and the high bits
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }
}

/// How a [`MapCache`] is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Accesses that found their frames mapped. One that crosses groups of 16 frames counts for each.
    pub hits: u64,
    /// Accesses that had to map.
    pub misses: u64,
    /// Frames that room is taken for, among them those without memory.
    pub frames: usize,
    /// Frames that there is room for.
    pub capacity: usize,
}

impl<A: Access> Buckets<A> {
    /// Puts a bucket in, and gives back those that had to go for it, to be unmapped when nobody waits for the lock.
    fn insert(&mut self, number: u64, bucket: Bucket<A>, capacity: usize) -> Vec<Bucket<A>> {
        let mut gone: Vec<_> = self.mapped.insert(number, bucket).into_iter().collect();
        while self.mapped.len() > capacity {
            let age = |bucket: &Bucket<A>| bucket.last_used.load(Ordering::Relaxed);
            let oldest = self.mapped.iter().min_by_key(|(_, bucket)| age(bucket)).map(|(&number, _)| number);
            gone.extend(oldest.and_then(|oldest| self.mapped.remove(&oldest)));
        }
        gone
    }
}

impl<A: Access> MapCache<A> {
    pub(crate) fn new(memory: ForeignMemory, plan: Plan, frames: usize) -> Self {
        let buckets = Buckets { mapped: HashMap::default(), invalidations: 0 };
        Self {
            memory,
            plan,
            capacity: frames.div_ceil(BUCKET_FRAMES).max(1),
            buckets: RwLock::new(buckets),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomId {
        self.plan.domain
    }

    /// Copies a value out: an aligned one of 1, 2, 4 or 8 bytes in one access.
    ///
    /// # Errors
    ///
    /// [`Error::NotPresent`] if there is no memory; [`Error::AddressOverflow`]; and what mapping fails with:
    /// [`Error::Map`], [`Error::Restricted`], [`Error::LockedDown`].
    pub fn read<T: FromBytes + IntoBytes>(&self, address: u64) -> Result<T, Error> {
        if let Some(piece) = Piece::within(address, size_of::<T>()) {
            return self.access(piece, PartialMapping::read);
        }
        let mut value = T::new_zeroed();
        self.copy_to_slice(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// As [`MapCache::read`]. What lies before the address that failed may be copied.
    pub fn copy_to_slice(&self, address: u64, target: &mut [u8]) -> Result<(), Error> {
        each_piece(address, target.len(), |piece, range| {
            self.access(piece, |mapping, offset| mapping.copy_to_slice(offset, &mut target[range.clone()]))
        })
    }

    /// Loads a 32-bit word with acquire ordering.
    ///
    /// # Errors
    ///
    /// As [`MapCache::read`]; [`Error::Access`] if the address is no multiple of 4.
    pub fn load_u32(&self, address: u64) -> Result<u32, Error> {
        self.access(Piece::word(address)?, PartialMapping::load_u32)
    }

    /// Unmaps what lies in a range of addresses, because the guest has other memory there now, or none. When this returns,
    /// nothing of it is in use any more.
    #[doc(alias = "xen_invalidate_map_cache_entry")]
    pub fn invalidate(&self, addresses: Range<u64>) {
        if addresses.is_empty() {
            return;
        }
        let first = Piece::at(addresses.start).bucket;
        let last = Piece::at(addresses.end - 1).bucket;
        self.remove(|bucket| (first..=last).contains(&bucket));
    }

    /// Unmaps everything.
    #[doc(alias = "xen_invalidate_map_cache")]
    pub fn clear(&self) {
        self.remove(|_| true);
    }

    /// How it is doing.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            frames: self.look().mapped.len() * BUCKET_FRAMES,
            capacity: self.capacity * BUCKET_FRAMES,
        }
    }

    fn remove(&self, which: impl Fn(u64) -> bool) {
        let mut buckets = self.change();
        buckets.invalidations = buckets.invalidations.wrapping_add(1);
        let (gone, kept): (HashMap<_, _, _>, HashMap<_, _, _>) =
            mem::take(&mut buckets.mapped).into_iter().partition(|&(number, _)| which(number));
        buckets.mapped = kept;
        drop(buckets);
        drop(gone);
    }

    /// Does something with the frames of a bucket, and maps them first if they are not. `access` fails without effect if it
    /// touches a frame that is not mapped; then, they are mapped anew, as the guest may have got one there.
    #[inline]
    fn access<R>(
        &self,
        piece: Piece,
        mut access: impl FnMut(&PartialMapping<A>, usize) -> Result<R, Error>,
    ) -> Result<R, Error> {
        loop {
            if let Some(answer) = self.hit(piece, &mut access) {
                return answer;
            }
            if let Some(answer) = self.miss(piece, &mut access) {
                return answer;
            }
        }
    }

    /// Does it with what is mapped; `None` if that is not enough.
    #[inline]
    fn hit<R>(
        &self,
        piece: Piece,
        access: &mut impl FnMut(&PartialMapping<A>, usize) -> Result<R, Error>,
    ) -> Option<Result<R, Error>> {
        let buckets = self.look();
        let bucket = buckets.mapped.get(&piece.bucket)?;
        let answer = access(&bucket.mapping, piece.offset);
        if matches!(answer, Err(Error::NotMapped { .. })) {
            return None;
        }
        let hits = self.hits.fetch_add(1, Ordering::Relaxed) + 1;
        let now = hits + self.misses.load(Ordering::Relaxed);
        bucket.last_used.store(now, Ordering::Relaxed);
        Some(answer)
    }

    /// Maps, and does it then; `None` if something was invalidated meanwhile.
    #[cold]
    fn miss<R>(
        &self,
        piece: Piece,
        access: &mut impl FnMut(&PartialMapping<A>, usize) -> Result<R, Error>,
    ) -> Option<Result<R, Error>> {
        let seen = self.look().invalidations;
        let misses = self.misses.fetch_add(1, Ordering::Relaxed) + 1;
        let mapping = match self.map(piece.bucket) {
            Ok(mapping) => mapping,
            Err(error) => return Some(Err(error)),
        };
        let mut buckets = self.change();
        if buckets.invalidations != seen {
            return None;
        }
        let answer = match access(&mapping, piece.offset) {
            Err(error) => return Some(Err(piece.not_present(error))),
            answer => answer,
        };
        let now = self.hits.load(Ordering::Relaxed) + misses;
        let bucket = Bucket { mapping, last_used: AtomicU64::new(now) };
        let replaced = buckets.insert(piece.bucket, bucket, self.capacity);
        drop(buckets);
        drop(replaced);
        Some(answer)
    }

    fn map(&self, bucket: u64) -> Result<PartialMapping<A>, Error> {
        let first = bucket * BUCKET_FRAMES as u64;
        let frames: [Gfn; BUCKET_FRAMES] = std::array::from_fn(|index| Gfn::new(first + index as u64));
        PartialMapping::map(self.memory.device(), self.plan, &frames)
    }

    // A thread that panicked while it had the lock did not leave the table in pieces.

    fn look(&self) -> RwLockReadGuard<'_, Buckets<A>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Buckets<A>> {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MapCache<ReadWrite> {
    /// Copies a value in: an aligned one of 1, 2, 4 or 8 bytes in one access.
    ///
    /// # Errors
    ///
    /// As [`MapCache::copy_from_slice`].
    pub fn write<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> Result<(), Error> {
        if let Some(piece) = Piece::within(address, size_of::<T>()) {
            return self.access(piece, |mapping, offset| mapping.write(offset, value));
        }
        self.copy_from_slice(address, value.as_bytes())
    }

    /// Copies bytes in.
    ///
    /// # Errors
    ///
    /// As [`MapCache::read`]. What lies before the address that failed may be written.
    pub fn copy_from_slice(&self, address: u64, source: &[u8]) -> Result<(), Error> {
        each_piece(address, source.len(), |piece, range| {
            self.access(piece, |mapping, offset| mapping.copy_from_slice(offset, &source[range.clone()]))
        })
    }

    /// Stores a 32-bit word with release ordering.
    ///
    /// # Errors
    ///
    /// As [`MapCache::load_u32`].
    pub fn store_u32(&self, address: u64, value: u32) -> Result<(), Error> {
        self.access(Piece::word(address)?, |mapping, offset| {
            mapping.atomic_u32(offset)?.store(value, Ordering::Release);
            Ok(())
        })
    }

    /// Stores `new` if the 32-bit word is `current`, in one step. The word as it was is inside `Ok` if that was so, and inside
    /// `Err` if not. Acquire and release ordering.
    ///
    /// # Errors
    ///
    /// The outer one: as [`MapCache::load_u32`].
    pub fn compare_exchange_u32(
        &self,
        address: u64,
        current: u32,
        new: u32,
    ) -> Result<Result<u32, u32>, Error> {
        self.access(Piece::word(address)?, |mapping, offset| {
            let word = mapping.atomic_u32(offset)?;
            Ok(word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire))
        })
    }
}

impl<A: Access> fmt::Debug for MapCache<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapCache")
            .field("domain", &self.plan.domain)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

/// What an access needs of one bucket.
#[derive(Clone, Copy)]
struct Piece {
    address: u64,
    bucket: u64,
    /// Where the access begins in the bucket.
    offset: usize,
}

impl Piece {
    #[inline]
    fn at(address: u64) -> Self {
        const SIZE: u64 = BUCKET_SIZE as u64;
        // Lossless: the remainder is less than the size of a bucket.
        let offset = usize::try_from(address % SIZE).unwrap_or_default();
        Self { address, bucket: address / SIZE, offset }
    }

    /// An access of so many bytes, if it lies in one bucket.
    #[inline]
    fn within(address: u64, length: usize) -> Option<Self> {
        Some(Self::at(address)).filter(|piece| piece.offset + length <= BUCKET_SIZE)
    }

    /// An aligned word, which therefore lies in one bucket.
    fn word(address: u64) -> Result<Self, Error> {
        let alignment = size_of::<u32>();
        let piece = Self::at(address);
        if piece.offset % alignment == 0 {
            Ok(piece)
        } else {
            let offset = usize::try_from(address).unwrap_or(piece.offset);
            Err(AccessError::Misaligned { offset, alignment }.into())
        }
    }

    fn not_present(self, error: Error) -> Error {
        match error {
            Error::NotMapped { domain, gfn, source, .. } => {
                let address = self.address.max(gfn.get() * PAGE_SIZE as u64);
                Error::NotPresent { domain, address, source }
            }
            other => other,
        }
    }
}

/// Calls `each` with every piece of a range of addresses that lies in one bucket, and with its place in the range.
fn each_piece(
    address: u64,
    length: usize,
    mut each: impl FnMut(Piece, Range<usize>) -> Result<(), Error>,
) -> Result<(), Error> {
    let overflow = Error::AddressOverflow { address, length };
    let Some(_) = u64::try_from(length).ok().and_then(|length| address.checked_add(length)) else {
        return Err(overflow);
    };
    let mut done = 0;
    while done < length {
        let piece = Piece::at(address + done as u64);
        let size = (BUCKET_SIZE - piece.offset).min(length - done);
        each(piece, done..done + size)?;
        done += size;
    }
    Ok(())
}
