//! The ring of buffered requests: writes that a guest does not wait for.

use std::sync::atomic::Ordering;

use xen_foreignmem::ResourceMapping;
use xen_sys::xen_public::hvm::{BufferedIoreq, BufferedPointers, IOREQ_BUFFER_SLOTS};
use xen_sys::zerocopy::transmute;

use super::Io;
use super::request::is_double;

/// The ring. Xen writes to it, and also turns back both pointers before they overflow: so they are read and written at once.
#[derive(Debug)]
pub(super) struct Ring(ResourceMapping);

impl Ring {
    pub(super) fn new(page: ResourceMapping) -> Self {
        Self(page)
    }

    /// Takes the oldest request.
    pub(super) fn take(&self) -> Option<Io> {
        let pointers = self.0.atomic_u64(0).ok()?;
        let mut seen = pointers.load(Ordering::Acquire);
        loop {
            let BufferedPointers { read_pointer, write_pointer } = transmute!(seen);
            let waiting = write_pointer.wrapping_sub(read_pointer);
            if waiting == 0 {
                return None;
            }
            let (read, io) = if usize::try_from(waiting).is_ok_and(|waiting| waiting <= IOREQ_BUFFER_SLOTS) {
                let (io, entries) = self.read(read_pointer, waiting)?;
                (read_pointer.wrapping_add(entries), io)
            } else {
                tracing::warn!(read_pointer, write_pointer, "no ring of Xen's: emptied");
                (write_pointer, Io::Unknown { kind: 0 })
            };
            let after = transmute!(BufferedPointers { read_pointer: read, write_pointer });
            // Xen may have added entries or turned back the pointers, or another thread may have taken this one
            match pointers.compare_exchange(seen, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(io),
                Err(now) => seen = now,
            }
        }
    }

    /// The request at a pointer, and how many of the waiting entries it takes.
    fn read(&self, pointer: u32, waiting: u32) -> Option<(Io, u32)> {
        let entry = self.entry(pointer)?;
        if is_double(entry) && waiting > 1 {
            let second = self.entry(pointer.wrapping_add(1))?;
            return Some((Io::from_buffered(entry, Some(second.data)), 2));
        }
        Some((Io::from_buffered(entry, None), 1))
    }

    fn entry(&self, pointer: u32) -> Option<BufferedIoreq> {
        let index = usize::try_from(pointer).ok()? % IOREQ_BUFFER_SLOTS;
        self.0.read(size_of::<BufferedPointers>() + index * size_of::<BufferedIoreq>()).ok()
    }
}
