//! Executes a batch: file I/O in the order of the ring, neighbours joined.

use std::io;
use std::ops::Range;

use super::batch::{Batch, Piece, Task};
use super::disk::{Disk, Extent};
use super::stats::Stats;
use super::window::Window;
use crate::blkif::{Direction, Status};

/// Executes all jobs of a batch and gives each its status.
pub(super) fn execute(batch: &mut Batch, disk: &Disk, window: &mut dyn Window, stats: &mut Stats) {
    if !batch.writes.is_empty() {
        window.fetch(&mut batch.writes);
    }
    if !batch.reads.is_empty() {
        window.prepare(&mut batch.reads);
    }
    batch.settle();
    Execution { disk, window: &mut *window, stats, stretch: None }.run(batch);
    window.deliver(&mut batch.reads);
    batch.settle();
    for job in &batch.jobs {
        match &job.task {
            Task::Read(pieces) => stats.read(&batch.reads[pieces.clone()]),
            Task::Write { pieces, .. } => stats.written(&batch.writes[pieces.clone()]),
            Task::Flush => stats.flushes += 1,
            Task::Discard(_) => stats.discards += 1,
            Task::None => stats.errors += 1,
        }
    }
}

/// Pieces that follow each other on the disk and in the window: one read or write.
struct Stretch {
    direction: Direction,
    extent: Extent,
    place: usize,
    /// Where the next piece has to be to belong to it.
    end: usize,
    pieces: Range<usize>,
}

struct Execution<'a> {
    disk: &'a Disk,
    window: &'a mut dyn Window,
    stats: &'a mut Stats,
    /// Collected, not yet executed.
    stretch: Option<Stretch>,
}

impl Execution<'_> {
    fn run(mut self, batch: &mut Batch) {
        let Batch { jobs, reads, writes } = batch;
        for job in jobs {
            let outcome = match job.task.clone() {
                Task::None => Ok(()),
                Task::Read(pieces) => {
                    self.extend(Direction::Read, pieces, reads, writes);
                    Ok(())
                }
                Task::Write { pieces, barrier: false } => {
                    self.extend(Direction::Write, pieces, reads, writes);
                    Ok(())
                }
                Task::Write { pieces, barrier: true } => {
                    self.finish(reads, writes);
                    let before = self.disk.flush();
                    self.extend(Direction::Write, pieces, reads, writes);
                    self.finish(reads, writes);
                    before.and_then(|()| self.disk.flush())
                }
                Task::Flush => {
                    self.finish(reads, writes);
                    self.disk.flush()
                }
                Task::Discard(extent) => {
                    self.finish(reads, writes);
                    self.disk.discard(extent)
                }
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, task = ?job.task, "the disk failed");
                job.fail(match error.kind() {
                    io::ErrorKind::Unsupported => Status::UNSUPPORTED,
                    _ => Status::ERROR,
                });
            }
        }
        self.finish(reads, writes);
    }

    /// Adds pieces to the stretch; where they do not fit, it is executed and the next begins.
    fn extend(
        &mut self,
        direction: Direction,
        range: Range<usize>,
        reads: &mut [Piece],
        writes: &mut [Piece],
    ) {
        for index in range {
            let piece = match direction {
                Direction::Read => &reads[index],
                Direction::Write => &writes[index],
            };
            let Some(extent) = piece.extent else { continue };
            let (place, end) = (piece.place, piece.place + piece.len);
            if let Some(stretch) = &mut self.stretch {
                let follows =
                    (stretch.direction, stretch.end, stretch.pieces.end) == (direction, place, index);
                if let (true, Some(joined)) = (follows, stretch.extent.joined(extent)) {
                    (stretch.extent, stretch.end, stretch.pieces.end) = (joined, end, index + 1);
                    continue;
                }
            }
            self.finish(reads, writes);
            self.stretch = Some(Stretch { direction, extent, place, end, pieces: index..index + 1 });
        }
    }

    /// Executes the stretch. If it fails as a whole, each piece is tried alone, so that one bad sector fails one request.
    fn finish(&mut self, reads: &mut [Piece], writes: &mut [Piece]) {
        let Some(Stretch { direction, extent, place, pieces, .. }) = self.stretch.take() else { return };
        let Err(error) = self.transfer(direction, extent, place) else { return };
        tracing::warn!(%error, ?direction, ?extent, "the disk failed");
        let pieces = match direction {
            Direction::Read => &mut reads[pieces],
            Direction::Write => &mut writes[pieces],
        };
        let alone = pieces.len() == 1;
        for piece in pieces {
            let Some(extent) = piece.extent else { continue };
            piece.failed = alone || self.transfer(direction, extent, piece.place).is_err();
        }
    }

    fn transfer(&mut self, direction: Direction, extent: Extent, place: usize) -> io::Result<()> {
        self.stats.file_calls += 1;
        match direction {
            Direction::Read => self.window.read(self.disk, extent, place),
            Direction::Write => self.window.write(self.disk, extent, place),
        }
    }
}
