//! A cache of mapped frames in the way of C device models: a lock, a table by address, and a bucket that is mapped anew
//! when another part of memory is wanted in its place.
#![expect(unsafe_code, reason = "calls C; reads mapped memory")]

use super::ForeignMemory;
use anyhow::Result;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// So many frames are mapped together, as by our cache.
const FRAMES: usize = 16;
const SIZE: u64 = FRAMES as u64 * 4096;

pub(crate) struct MapCache {
    memory: ForeignMemory,
    domain: u32,
    buckets: Mutex<Vec<Option<Bucket>>>,
}

struct Bucket {
    number: u64,
    memory: NonNull<u8>,
    /// A bit for each frame that is mapped.
    mapped: u32,
}

impl MapCache {
    pub(crate) fn new(domain: u32, buckets: usize) -> Result<Self> {
        let buckets = Mutex::new((0..buckets).map(|_| None).collect());
        Ok(Self { memory: ForeignMemory::open()?, domain, buckets })
    }

    /// Reads an aligned word.
    pub(crate) fn read(&self, address: u64) -> u64 {
        let (number, offset) = (address / SIZE, usize::try_from(address % SIZE).expect("small"));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(number).expect("64 bits") % buckets.len();
        let place = &mut buckets[index];
        let bucket = match place {
            Some(bucket) if bucket.number == number && bucket.mapped >> (offset / 4096) & 1 != 0 => bucket,
            _ => {
                if let Some(old) = place.take() {
                    // SAFETY: it was mapped below, and nobody else has its address.
                    unsafe { self.memory.unmap(old.memory, FRAMES) };
                }
                place.insert(self.map(number))
            }
        };
        // SAFETY: inside the bucket.
        let word = unsafe { bucket.memory.add(offset) }.cast::<u64>();
        // SAFETY: aligned, and mapped.
        unsafe { word.read_volatile() }
    }

    fn map(&self, number: u64) -> Bucket {
        let first = number * FRAMES as u64;
        let frames: [u64; FRAMES] = std::array::from_fn(|index| first + index as u64);
        let mut statuses = [0; FRAMES];
        let memory = self.memory.map_partial(self.domain, &frames, &mut statuses);
        let bits = statuses.iter().enumerate().map(|(index, &status)| u32::from(status == 0) << index);
        Bucket { number, memory, mapped: bits.sum() }
    }
}
