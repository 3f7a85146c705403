//! What a backend did, printed when it ends.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use super::batch::Piece;

/// Counters of one queue, or the sum over all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests taken from the ring.
    pub requests: u64,
    /// Requests that read.
    pub reads: u64,
    /// Requests that wrote.
    pub writes: u64,
    /// Requests that made data durable.
    pub flushes: u64,
    /// Requests that gave space back.
    pub discards: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// Bytes from the disk to the guest.
    pub bytes_read: u64,
    /// Bytes from the guest to the disk.
    pub bytes_written: u64,
    /// Events received.
    pub events: u64,
    /// Rounds of taking requests and answering them together.
    pub batches: u64,
    /// Events sent.
    pub notifications: u64,
    /// Reads and writes of the image file.
    pub file_calls: u64,
    /// Time between waking up and going to sleep again.
    pub busy: Duration,
}

impl Stats {
    pub(super) fn read(&mut self, pieces: &[Piece]) {
        self.reads += 1;
        self.bytes_read += bytes(pieces);
    }

    pub(super) fn written(&mut self, pieces: &[Piece]) {
        self.writes += 1;
        self.bytes_written += bytes(pieces);
    }
}

fn bytes(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.len as u64).sum()
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.reads += other.reads;
        self.writes += other.writes;
        self.flushes += other.flushes;
        self.discards += other.discards;
        self.errors += other.errors;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.events += other.events;
        self.batches += other.batches;
        self.notifications += other.notifications;
        self.file_calls += other.file_calls;
        self.busy += other.busy;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, reads, writes, flushes, discards, errors, .. } = self;
        writeln!(
            formatter,
            "{requests} requests: {reads} reads ({}), {writes} writes ({}), {flushes} flushes, {discards} discards, \
             {errors} errors",
            MiB(self.bytes_read),
            MiB(self.bytes_written),
        )?;
        write!(
            formatter,
            "{} events received ({} requests for each), {} batches, {} events sent, {} file calls, busy for {:.1} s",
            self.events,
            Ratio(*requests, self.events),
            self.batches,
            self.notifications,
            self.file_calls,
            self.busy.as_secs_f64(),
        )
    }
}

struct MiB(u64);

impl fmt::Display for MiB {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 * 10 / (1 << 20);
        write!(formatter, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

struct Ratio(u64, u64);

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 * 10 / self.1.max(1);
        write!(formatter, "{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let stats = Stats { requests: 7, events: 2, bytes_read: 3 << 19, ..Stats::default() };
        let text = stats.to_string();
        assert!(text.contains("reads (1.5 MiB)") && text.contains("(3.5 requests for each)"), "{text}");
    }
}
