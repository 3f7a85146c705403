//! Machines that stand still: what keeps them from it, and what is asked of one that does.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::console::Console;
use super::session::drain;

/// Wakes a machine up.
///
/// QEMU's `vmrun` for x86 marks a waiting virtual interrupt without its lock, and so a real one that arrives in the same instant may
/// be forgotten. If it was that of the timer, the machine sleeps until another interrupt comes, and often none does. A key is one.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Instant,
}

/// How long a machine may sleep too long.
const INTERVAL: Duration = Duration::from_secs(1);

/// "Go on with your output", which terminals do not echo, and which is not input to anyone.
const KEY: &[u8] = b"\x11";

impl Pulse {
    /// The first one is due after an interval.
    pub(super) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.last + INTERVAL
    }

    /// Presses the key if it is time.
    pub(super) fn press(&mut self, mut console: &UnixStream) {
        if Instant::now() >= self.due() {
            self.last = Instant::now();
            // a machine with so many keys to read that it takes no more is awake, or dead
            let _ = console.write(KEY);
        }
    }
}

/// What is typed on a machine's console: dom0's kernel shall print all messages, what its processors are doing, and which tasks wait
/// for devices; Xen the registers of its processors, and its domains.
const QUESTIONS: [&str; 6] = ["\x0f9", "\x0fl", "\x0fw", "\x01\x01\x01d", "q", "\x01\x01\x01"];

/// After a silence of this length, no more is to come.
const SILENCE: Duration = Duration::from_secs(1);

/// How long an answer may be.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks Xen and dom0's kernel over the console what they are doing.
pub(super) fn ask(mut socket: &UnixStream, console: &mut Console) -> Result<()> {
    console.expect_answers();
    for question in QUESTIONS {
        socket.write_all(question.as_bytes()).context("cannot ask the machine what it is doing")?;
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline && is_readable(socket, SILENCE)? {
            drain(socket, |data| console.receive(data).map_err(std::io::Error::other))?;
        }
    }
    Ok(())
}

fn is_readable(socket: &UnixStream, patience: Duration) -> Result<bool> {
    let patience = Timespec::try_from(patience).context("the time limit is too long")?;
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error).context("cannot wait for the machine"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_key_is_pressed_when_it_is_time() {
        let (console, mut machine) = UnixStream::pair().expect("a line");
        let mut pulse = Pulse::new();
        pulse.press(&console);
        assert!(!is_readable(&machine, Duration::ZERO).expect("looked at"), "not yet");
        pulse.last -= INTERVAL;
        pulse.press(&console);
        pulse.press(&console);
        drop(console);
        let mut keys = Vec::new();
        machine.read_to_end(&mut keys).expect("read");
        assert_eq!(keys, KEY);
    }

    #[test]
    fn every_question_is_asked_and_silence_ends_an_answer() {
        let (socket, mut machine) = UnixStream::pair().expect("a line");
        socket.set_nonblocking(true).expect("set up");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut console = Console::new(&folder.path().join("log")).expect("a log");
        machine.write_all(b"Comm: busy\n").expect("said");
        ask(&socket, &mut console).expect("asked");
        drop(socket);
        let mut questions = String::new();
        machine.read_to_string(&mut questions).expect("read");
        assert_eq!(questions, QUESTIONS.concat());
        assert!(console.report().contains("Comm: busy"), "{}", console.report());
    }
}
