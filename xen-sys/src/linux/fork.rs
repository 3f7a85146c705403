//! Tells, without a system call, whether this is a child that was forked since.
//!
//! Mappings that a child did not inherit must not be unmapped there: by then something else may lie at that address.
#![expect(unsafe_code, reason = "keeps a page that the kernel wipes in children")]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which process in a line of forks this is: another number in a child than in its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    /// The running process's.
    #[inline]
    pub(crate) fn current() -> Self {
        static PAGE: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
        /// The last number that was given, in this process or in one that it was forked from.
        static LAST: AtomicU32 = AtomicU32::new(0);

        let Some(page) = PAGE.get_or_init(|| wiped_in_children().ok()) else { return Self(0) };
        match page.load(Ordering::Relaxed) {
            0 => {
                // Of several threads that find the page wiped, one numbers the process for all.
                let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
                let set = page.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
                Self(set.map_or_else(|other| other, |_| next))
            }
            number => Self(number),
        }
    }
}

/// A word that is zero at first, and again in every child (Linux 4.14+).
fn wiped_in_children() -> io::Result<&'static AtomicU32> {
    let length = rustix::param::page_size();
    // SAFETY: new memory, which replaces nothing.
    let page = unsafe {
        mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }?;
    // SAFETY: the page is ours, and holds zeros.
    if let Err(error) = unsafe { madvise(page, length, Advice::LinuxWipeOnFork) } {
        // SAFETY: nobody has seen the page.
        unsafe { munmap(page, length) }?;
        return Err(error.into());
    }
    // SAFETY: a page is aligned, stays mapped for ever, and is only used through this atomic.
    Ok(unsafe { &*page.cast::<AtomicU32>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_process_stays_the_same() {
        let first = Generation::current();
        assert_eq!(first, Generation::current());
        assert_eq!(std::thread::spawn(Generation::current).join().ok(), Some(first));
    }
}
