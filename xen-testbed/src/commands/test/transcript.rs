//! What a test program prints: heard for its results, and shown.

use std::io::{self, Write, stdout};

use crate::commands::pass_on;
use crate::libtest::{Listener, Results};
use crate::machine::Stream;

/// What one program prints. If it is not to be shown as it comes, it is kept for the case of a failure.
#[derive(Debug)]
pub(super) struct Transcript {
    as_it_comes: bool,
    kept: Vec<u8>,
    listener: Listener,
}

impl Transcript {
    pub(super) fn new(as_it_comes: bool) -> Self {
        Self { as_it_comes, kept: Vec::new(), listener: Listener::default() }
    }

    /// Takes a piece of output.
    pub(super) fn take(&mut self, stream: Stream, data: &[u8]) -> io::Result<()> {
        if stream == Stream::Output {
            self.listener.hear(data);
        }
        if self.as_it_comes {
            return pass_on(stream, data);
        }
        self.kept.extend_from_slice(data);
        Ok(())
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Shows what was kept if something failed.
    pub(super) fn close(self, results: &Results) -> io::Result<()> {
        if results.counts.failed == 0 {
            return Ok(());
        }
        stdout().write_all(&self.kept).and_then(|()| stdout().flush())
    }
}
