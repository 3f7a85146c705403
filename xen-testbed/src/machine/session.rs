//! The lines to a running machine: orders go in, output and answers come out, the console is watched meanwhile.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::console::Console;
use super::output::{MARK, Output};
use super::stall::{self, Pulse};

/// After the first bad word, this long is listened to the rest.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// After the end of a program, its output may take this long.
const OUTPUT_LIMIT: Duration = Duration::from_secs(60);

/// Which of its outputs a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Our ends of the lines.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) control: UnixStream,
    pub(super) output: UnixStream,
    pub(super) error: UnixStream,
    pub(super) terminal: UnixStream,
    pub(super) console: UnixStream,
}

/// A conversation with the agent in dom0.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) sockets: Sockets,
    console: Console,
    /// The file of QEMU's own messages.
    complaints: PathBuf,
    /// The beginning of an answer whose end has not come.
    answer: Vec<u8>,
    output: Output,
    error: Output,
    died: Option<Instant>,
    /// For machines that need one.
    pulse: Option<Pulse>,
}

impl Session {
    pub(super) fn new(sockets: Sockets, console: Console, complaints: PathBuf) -> Result<Self> {
        for socket in [&sockets.control, &sockets.output, &sockets.error, &sockets.terminal, &sockets.console]
        {
            socket.set_nonblocking(true).context("cannot set up the lines to the machine")?;
        }
        let [output, error] = [Stream::Output, Stream::Error].map(Output::new);
        Ok(Self { sockets, console, complaints, answer: Vec::new(), output, error, died: None, pulse: None })
    }

    /// From now on, the machine is woken up now and then.
    pub(super) fn keep_awake(&mut self) {
        self.pulse = Some(Pulse::new());
    }

    /// Waits until the agent of a booting machine reports.
    pub(super) fn await_ready(&mut self, limit: Duration) -> Result<()> {
        let answer = self.answer(limit, "dom0 to come up", &mut |_, _| Ok(()))?;
        if answer == "ready" {
            Ok(())
        } else {
            bail!("dom0's agent said {answer:?} instead of that it is ready")
        }
    }

    /// Gives an order that has one good answer.
    pub(super) fn order(
        &mut self,
        order: &str,
        expected: &str,
        limit: Duration,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<()> {
        self.send(order)?;
        let answer = self.answer(limit, order, sink)?;
        if answer == expected { Ok(()) } else { bail!("dom0 was asked to {order}, and answered: {answer}") }
    }

    /// Runs a script in dom0; the answer is its exit status.
    pub(super) fn run(
        &mut self,
        script: usize,
        limit: Duration,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<u8> {
        self.output.begin();
        self.error.begin();
        self.send(&format!("run {script} {MARK}"))?;
        let answer = self.answer(limit, "the program to end", sink)?;
        self.await_all_output(sink)?;
        exit_status(&answer)
    }

    /// The rest of what a program printed that has ended.
    fn await_all_output(&mut self, sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>) -> Result<()> {
        let deadline = Instant::now() + OUTPUT_LIMIT;
        while !(self.output.is_complete() && self.error.is_complete()) {
            if Instant::now() >= deadline {
                bail!("the program has ended, but its output has not; {}", self.last_words());
            }
            self.wait(deadline, &[])?;
            self.receive(sink)?;
        }
        Ok(())
    }

    pub(super) fn send(&mut self, order: &str) -> Result<()> {
        (&self.sockets.control)
            .write_all(format!("{order}\n").as_bytes())
            .map_err(|error| anyhow!(error).context(self.last_words()))
    }

    fn answer(
        &mut self,
        limit: Duration,
        what: &str,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            self.wait(deadline, &[])?;
            if let Some(answer) = self.receive(sink)? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                // if it cannot even be asked, its last words must do
                let _ = stall::ask(&self.sockets.console, &mut self.console);
                bail!("waited {} seconds for {what}, in vain:\n{}", limit.as_secs(), self.last_words());
            }
        }
    }

    /// Sleeps until a line has something, one of `others` is readable, or the time is over; or for a moment.
    pub(super) fn wait(&self, deadline: Instant, others: &[&dyn AsFdObject]) -> Result<()> {
        let sockets = &self.sockets;
        let mut lines: Vec<_> = [&sockets.control, &sockets.output, &sockets.error, &sockets.console]
            .into_iter()
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        lines
            .extend(others.iter().map(|other| PollFd::from_borrowed_fd(other.as_fd_object(), PollFlags::IN)));
        let deadline = self.died.map_or(deadline, |died| deadline.min(died + LAST_WORDS));
        let deadline = self.pulse.as_ref().map_or(deadline, |pulse| deadline.min(pulse.due()));
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("the time limit is too long")?;
        match poll(&mut lines, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for the machine"),
        }
    }

    /// Takes everything that has come, passes output on, and returns the agent's answer if there is one.
    pub(super) fn receive(
        &mut self,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<Option<String>> {
        if let Some(pulse) = &mut self.pulse {
            pulse.press(&self.sockets.console);
        }
        let mut answer = Vec::new();
        let control = drain(&self.sockets.control, |data| {
            answer.extend_from_slice(data);
            Ok(())
        })?;
        self.answer.append(&mut answer);
        drain(&self.sockets.output, |data| self.output.take(data, sink))?;
        drain(&self.sockets.error, |data| self.error.take(data, sink))?;
        self.listen()?;
        if self.died.is_some_and(|died| died.elapsed() >= LAST_WORDS) {
            bail!(self.last_words());
        }
        if control == Line::Ended {
            let words = self.last_words();
            bail!(if self.died.is_some() {
                words
            } else {
                format!("the machine has ended before its work was done; {words}")
            });
        }
        let Some(end) = self.answer.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.answer.drain(..=end).collect();
        if self.died.is_some() {
            bail!(self.last_words());
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    fn listen(&mut self) -> Result<()> {
        let console = &mut self.console;
        drain(&self.sockets.console, |data| console.receive(data).map_err(io::Error::other))?;
        if self.console.is_alarmed() && self.died.is_none() {
            self.died = Some(Instant::now());
        }
        Ok(())
    }

    /// What the console and QEMU itself said before the end.
    pub(super) fn last_words(&mut self) -> String {
        // the end is being reported already; another error adds nothing
        let _ = self.listen();
        let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
        let complaints = complaints.trim_end();
        let report = self.console.report();
        if complaints.is_empty() { report } else { format!("QEMU said: {complaints}\n{report}") }
    }
}

/// `exit 3` → 3
pub(super) fn exit_status(answer: &str) -> Result<u8> {
    let status = answer.strip_prefix("exit ").and_then(|status| status.parse().ok());
    status.with_context(|| format!("dom0 should have told an exit status, but said: {answer}"))
}

/// Something that can be polled beside the lines.
pub(super) trait AsFdObject {
    /// Its descriptor.
    fn as_fd_object(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdObject for T {
    fn as_fd_object(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Whether more can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Open,
    Ended,
}

/// Reads what is there, without waiting.
pub(super) fn drain(mut socket: &UnixStream, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<Line> {
    let mut buffer = [0; 1 << 14];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(Line::Ended),
            Ok(length) => take(&buffer[..length]).context("cannot pass on what the machine said")?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Line::Open),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Line::Ended),
            Err(error) => return Err(error).context("cannot read from the machine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses() {
        assert_eq!(exit_status("exit 134").expect("a status"), 134);
        assert!(exit_status("exit 256").is_err());
        assert!(exit_status("loaded").is_err());
    }
}
