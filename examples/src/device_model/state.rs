//! What a device model knows, in a file: when it dies, another one goes on with it, and the guest sees no difference.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Something with registers that outlive the process.
pub trait Saved {
    /// Appends what is to be kept: always the same number of bytes.
    fn save(&self, to: &mut Vec<u8>);

    /// Takes from the front of `from` what was kept. `None` if that is no state of this.
    fn restore(&mut self, from: &mut &[u8]) -> Option<()>;
}

/// Takes the first bytes off.
pub fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

/// The file. What a program killed in the middle of a write leaves behind is that write whole, or none of it: it is less than a page.
#[derive(Debug)]
pub struct StateFile {
    file: File,
    written: Vec<u8>,
}

impl StateFile {
    /// Opens or makes it; only its owner may read it, as input to the guest is in it. The answer has what is in there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok((Self { file, written: content.clone() }, content))
    }

    /// Writes the state, if it is another one than before. One system call then.
    ///
    /// # Errors
    /// The kernel's.
    pub fn update(&mut self, state: &[u8]) -> io::Result<()> {
        if self.written != state {
            self.file.write_all_at(state, 0)?;
            self.written.clear();
            self.written.extend_from_slice(state);
        }
        Ok(())
    }
}
