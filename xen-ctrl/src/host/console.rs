//! The hypervisor's own console: its messages, and the keys that make it write some.

use xen_call::HypercallBuffer;
use xen_sys::xen_public::sysctl::{DebugKeys, ReadConsole};

use super::{Host, size};
use crate::{Error, Xenctrl};

/// How much one hypercall reads: the ring has 16 KiB unless Xen's command line says otherwise.
const CHUNK: usize = 16 << 10;

/// How many hypercalls read a ring at most, so that a hypervisor that writes as fast as we read does not hold us for ever.
const READS: usize = 1024;

/// A piece of what the hypervisor has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsoleText {
    /// The text. Xen's own is ASCII, but dom0 can write there too.
    pub bytes: Vec<u8>,
    /// How many bytes in front of it have been overwritten before anybody read them.
    pub lost: u32,
    /// Where the next piece begins: a count of bytes since Xen was started, modulo 2³².
    pub next: u32,
}

/// Follows the hypervisor's console.
///
/// As an iterator, it gives pieces until there is nothing new; it can be asked again later.
#[derive(Debug)]
pub struct ConsoleReader<'a> {
    xen: &'a Xenctrl,
    buffer: HypercallBuffer<[u8]>,
    next: Option<u32>,
}

impl ConsoleReader<'_> {
    /// Where the next piece begins, as [`Host::console_reader`] takes it; `None` for the oldest byte in the ring.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.next
    }

    /// Reads what is new, up to 16 KiB; no bytes if nothing is. One hypercall. Nothing announces new text: who follows asks now and
    /// then.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`].
    #[doc(alias = "xc_readconsolering")]
    #[doc(alias = "XEN_SYSCTL_readconsole")]
    pub fn read(&mut self) -> Result<ConsoleText, Error> {
        self.read_piece(false)
    }

    fn read_piece(&mut self, clear: bool) -> Result<ConsoleText, Error> {
        let from = self.next;
        let answer = self.xen.sysctl(&ReadConsole { clear, from, into: self.buffer.lend() })?;
        let bytes = self.buffer[..size(answer.count).min(self.buffer.len())].to_vec();
        self.next = Some(answer.index);
        // Xen begins with the oldest byte that is left if what was asked for is gone
        let begin = answer.index.wrapping_sub(answer.count);
        let lost = from.map_or(0, |from| begin.wrapping_sub(from));
        Ok(ConsoleText { bytes, lost, next: answer.index })
    }

    fn read_all(mut self, clear: bool) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        for _ in 0..READS {
            let piece = self.read_piece(clear)?.bytes;
            text.extend_from_slice(&piece);
            if piece.len() < self.buffer.len() {
                break;
            }
        }
        Ok(text)
    }
}

impl Iterator for ConsoleReader<'_> {
    type Item = Result<ConsoleText, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Ok(text) if text.bytes.is_empty() => None,
            text => Some(text),
        }
    }
}

impl<'a> Host<'a> {
    /// All that is in the hypervisor's console ring, the oldest byte first. One hypercall for every 16 KiB.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_readconsolering")]
    #[doc(alias = "XEN_SYSCTL_readconsole")]
    pub fn read_console(&self) -> Result<Vec<u8>, Error> {
        self.console_reader(None)?.read_all(false)
    }

    /// As [`read_console`](Self::read_console), and nobody can read that text again.
    ///
    /// # Errors
    ///
    /// As [`read_console`](Self::read_console).
    #[doc(alias = "xc_readconsolering")]
    pub fn take_console(&self) -> Result<Vec<u8>, Error> {
        self.console_reader(None)?.read_all(true)
    }

    /// Follows the hypervisor's console, from a position where another reader stopped, or else from the oldest byte in the ring.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), xen_ctrl::Error> {
    /// let xen = xen_ctrl::Xenctrl::open()?;
    /// let mut console = xen.host().console_reader(None)?;
    /// loop {
    ///     for text in &mut console {
    ///         print!("{}", String::from_utf8_lossy(&text?.bytes));
    ///     }
    ///     std::thread::sleep(std::time::Duration::from_millis(250));
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_readconsolering")]
    pub fn console_reader(&self, from: Option<u32>) -> Result<ConsoleReader<'a>, Error> {
        Ok(ConsoleReader { xen: self.xen, buffer: self.xen.xencall().zeroed_buffer(CHUNK)?, next: from })
    }

    /// Presses keys on the hypervisor's console, as if an operator did, one after the other. What Xen writes then is in its console;
    /// key `h` lists the keys. **Some of them reboot the host or crash it.**
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_send_debug_keys")]
    #[doc(alias = "XEN_SYSCTL_debug_keys")]
    pub fn send_debug_keys(&self, keys: &str) -> Result<(), Error> {
        let mut keys = self.xen.xencall().buffer_from(keys.as_bytes())?;
        self.xen.sysctl(&DebugKeys { keys: keys.lend() }).map(drop)
    }
}
