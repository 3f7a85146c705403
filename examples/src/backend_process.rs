//! Runs the `blkback` program as a child, for the demo, the hostile frontend and the tests.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// How long the backend may take to end when it is asked to. It gives the guest 10 seconds.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// And if it is told not to.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `blkback`. Dropping it ends it, without waiting for the guest.
#[derive(Debug)]
pub struct BackendProcess {
    child: Child,
    log: PathBuf,
}

impl BackendProcess {
    /// Starts `blkback` from the PATH. What it prints goes to the file `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(arguments: &[&str], log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = output.try_clone().with_context(|| format!("cannot open {}", log.display()))?;
        let child = Command::new("blkback")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("cannot start blkback; is the directory with the example programs in the PATH?")?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If it has not ended by `deadline`.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            anyhow::ensure!(!left.is_zero(), "blkback has not ended in time; its log:\n{}", self.log());
            let process = pidfd_open(self.pid()?, PidfdFlags::empty()).context("cannot watch blkback")?;
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left.try_into()?)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for blkback"),
            }
        }
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process without id")
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// If it does not.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(Instant::now() + END_TIMEOUT)
    }

    /// The same, with the second signal at once, so that the backend does not wait for the guest. Two different signals: of
    /// two alike, one would be lost if the backend is slow to take the first.
    fn abort(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::INT)?;
        self.wait(Instant::now() + ABORT_TIMEOUT)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill_process(self.pid()?, signal).context("cannot send a signal to blkback")
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("({}: {error})", self.log.display()))
    }
}

impl Drop for BackendProcess {
    fn drop(&mut self) {
        if self.abort().is_err() {
            // Nothing can be done about a failure: the process is gone, or not ours any more.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
