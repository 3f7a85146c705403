//! What the other side learns when a mapping or a shared page goes.

use xen_sys::Port;
use xen_sys::linux::gntdev::UnmapNotify as Record;

/// What the kernel does when the memory goes, by [`drop`] or because this process died: clear a byte, send an event, or
/// both. So the other side learns of a death too.
///
/// First the byte is cleared, then the memory goes, then the event is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "UNMAP_NOTIFY_CLEAR_BYTE")]
#[doc(alias = "UNMAP_NOTIFY_SEND_EVENT")]
pub struct UnmapNotify {
    clear_byte: Option<usize>,
    send_event: Option<Port>,
}

impl UnmapNotify {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { clear_byte: None, send_event: None }
    }

    /// Clears the byte at this offset in the memory.
    #[must_use]
    pub const fn clear_byte(self, offset: usize) -> Self {
        Self { clear_byte: Some(offset), ..self }
    }

    /// Sends an event on this local port, which must be bound through `/dev/xen/evtchn`, by any process. The kernel keeps the
    /// port open until then.
    #[must_use]
    pub const fn send_event(self, port: Port) -> Self {
        Self { send_event: Some(port), ..self }
    }

    pub(crate) fn byte(self) -> Option<usize> {
        self.clear_byte
    }

    /// The record for memory that begins at `index` in the device, with `stride` bytes between two Xen pages.
    pub(crate) fn record(self, index: u64, stride: usize) -> Record {
        let byte = self.clear_byte.unwrap_or(0);
        let offset = byte / xen_sys::PAGE_SIZE * stride + byte % xen_sys::PAGE_SIZE;
        let clear = if self.clear_byte.is_some() { Record::CLEAR_BYTE } else { 0 };
        let send = if self.send_event.is_some() { Record::SEND_EVENT } else { 0 };
        Record {
            index: index + offset as u64,
            action: clear | send,
            event_channel_port: self.send_event.unwrap_or_default(),
        }
    }
}
