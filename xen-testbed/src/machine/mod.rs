//! A running machine: booted or resumed, given files and orders, ended when dropped.

mod console;
pub(crate) mod emulator;
mod monitor;
mod output;
mod session;
pub(crate) mod setup;
mod stall;
mod terminal;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tempfile::TempDir;

use self::console::Console;
use self::emulator::Emulator;
use self::monitor::{Monitor, STATE_VARIABLE};
use self::session::Session;
pub(crate) use self::session::Stream;
use self::setup::{Lines, Setup, names};
use crate::cache::{Cache, fingerprint};
use crate::image::Image;
use crate::progress::{Progress, note};

/// Saving or restoring takes one or two seconds; a loaded host may need more.
const STATE_LIMIT: Duration = Duration::from_secs(180);

/// Unpacking the host's files in dom0.
const LOAD_LIMIT: Duration = Duration::from_secs(240);

/// Everything that machines are made of.
#[derive(Debug)]
pub(crate) struct Workshop<'a> {
    /// The files, and the lock that only one test bed at a time holds.
    pub(crate) cache: &'a Cache,
    /// What is booted.
    pub(crate) image: Image,
    /// On what.
    pub(crate) emulator: Emulator,
}

/// A dom0 that obeys orders.
#[derive(Debug)]
pub(crate) struct Machine {
    session: Session,
    process: Process,
    _folder: TempDir,
}

/// QEMU, killed and waited for when dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // it has ended already if this fails
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// Brings dom0 up with the archive `payload` unpacked in it. A machine saved earlier is resumed, unless a `fresh` boot is asked for.
    pub(crate) fn start(workshop: &Workshop<'_>, setup: Setup, payload: &Path, fresh: bool) -> Result<Self> {
        let state = SavedState::place(workshop, setup);
        let progress = Progress::phase(format!("starting {}", workshop.image.cell()));
        let resumed =
            if fresh || !state.exists() { None } else { Self::resume(workshop, setup, payload, &state)? };
        let mut machine = if let Some(machine) = resumed {
            machine
        } else {
            let (mut machine, mut monitor) = Self::launch(workshop, setup, payload, None)?;
            machine.session.await_ready(setup.boot_limit())?;
            if !fresh {
                progress.say("saving the machine for later runs");
                state.save(&mut monitor).or_else(|error| machine.explain(error))?;
            }
            machine
        };
        machine.session.order(&load_order(setup), "loaded", LOAD_LIMIT, &mut |_, _| Ok(()))?;
        if setup.may_oversleep() {
            machine.session.keep_awake();
        }
        Ok(machine)
    }

    /// Runs the payload's script with this number; its output goes to `sink`, the answer is its exit status.
    pub(crate) fn run(
        &mut self,
        script: usize,
        limit: Duration,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> Result<u8> {
        self.session.run(script, limit, sink)
    }

    /// Gives the user a prompt on this terminal; the answer is the shell's exit status.
    pub(crate) fn shell(&mut self) -> Result<u8> {
        terminal::converse(&mut self.session)
    }

    /// Continues the saved machine. One that cannot be continued is thrown away, for the next boot to replace it.
    fn resume(
        workshop: &Workshop<'_>,
        setup: Setup,
        payload: &Path,
        state: &SavedState,
    ) -> Result<Option<Self>> {
        let resumed =
            Self::launch(workshop, setup, payload, Some(state)).and_then(|(mut machine, mut monitor)| {
                monitor.resume(STATE_LIMIT).or_else(|error| machine.explain(error))?;
                Ok(machine)
            });
        match resumed {
            Ok(machine) => Ok(Some(machine)),
            Err(error) => {
                note(&format!("the saved machine cannot be resumed and is booted anew: {error:#}"));
                state.discard()?;
                Ok(None)
            }
        }
    }

    fn launch(
        workshop: &Workshop<'_>,
        setup: Setup,
        payload: &Path,
        state: Option<&SavedState>,
    ) -> Result<(Self, Monitor)> {
        let folder = workshop.cache.scratch()?;
        lay_out(&workshop.image, payload, folder.path()).context("cannot lay out the machine's files")?;
        let line = || UnixStream::pair().context("cannot make a line to the machine");
        let (monitor, monitor_end) = line()?;
        let (console, console_end) = line()?;
        let (control, control_end) = line()?;
        let (output, output_end) = line()?;
        let (error, error_end) = line()?;
        let (terminal, terminal_end) = line()?;
        let lines = Lines {
            monitor: monitor_end.as_raw_fd(),
            console: console_end.as_raw_fd(),
            control: control_end.as_raw_fd(),
            output: output_end.as_raw_fd(),
            error: error_end.as_raw_fd(),
            terminal: terminal_end.as_raw_fd(),
        };
        let ends = [monitor_end, console_end, control_end, output_end, error_end, terminal_end];
        let mut command = workshop.emulator.command(ends.map(OwnedFd::from).into());
        command.current_dir(folder.path()).args(setup.arguments(&lines));
        command.env(STATE_VARIABLE, SavedState::place(workshop, setup).unfinished());
        if let Some(state) = state {
            command.env(STATE_VARIABLE, &state.path);
            command.args(["-incoming", &format!("exec:cat \"${STATE_VARIABLE}\"")]);
        }
        let complaints = workshop.cache.path("log/qemu.log");
        let file =
            File::create(&complaints).with_context(|| format!("cannot create {}", complaints.display()))?;
        let process = emulator::detach(&mut command, file).spawn().context("cannot start QEMU")?;
        drop(command); // closes our copies of QEMU's ends, so that its death is seen

        let console_log = workshop.cache.path(format!("log/{}.log", workshop.image.cell().name));
        let session = Session::new(
            session::Sockets { control, output, error, terminal, console },
            Console::new(&console_log)?,
            complaints,
        )?;
        let mut machine = Self { session, process: Process(process), _folder: folder };
        match Monitor::connect(monitor) {
            Ok(monitor) => Ok((machine, monitor)),
            Err(error) => machine.explain(error),
        }
    }

    /// Adds to `error` what console and QEMU have said.
    fn explain<T>(&mut self, error: anyhow::Error) -> Result<T> {
        let _ = self.process.0.kill(); // whatever went wrong, the lines end now
        Err(error.context(self.session.last_words()))
    }
}

/// A resumed dom0 believes that no time has passed, so it is told the time; not in a machine that is to do the same each time.
fn load_order(setup: Setup) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().filter(|_| !setup.count);
    now.map_or_else(|| "load".to_owned(), |now| format!("load {}", now.as_secs()))
}

/// Names all files that QEMU opens inside `folder`.
fn lay_out(image: &Image, payload: &Path, folder: &Path) -> io::Result<()> {
    symlink(image.xen(), folder.join(names::XEN))?;
    symlink(image.kernel(), folder.join(names::KERNEL))?;
    symlink(image.ramdisk(), folder.join(names::RAMDISK))?;
    symlink(payload, folder.join(names::PAYLOAD))?;
    symlink(image.kit(), folder.join(names::KIT))?;
    Ok(())
}

/// The file of a machine that was saved after its boot.
#[derive(Debug)]
struct SavedState {
    path: PathBuf,
}

impl SavedState {
    /// The name holds everything else that a saved machine depends on; the image's folder goes when the image changes.
    fn place(workshop: &Workshop<'_>, setup: Setup) -> Self {
        let no_lines = Lines { monitor: 0, console: 0, control: 0, output: 0, error: 0, terminal: 0 };
        let identity = fingerprint((&workshop.emulator.version, setup.arguments(&no_lines)));
        Self { path: workshop.image.folder().join(format!("saved-{identity}")) }
    }

    fn exists(&self) -> bool {
        self.path.exists()
    }

    fn discard(&self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }

    fn unfinished(&self) -> PathBuf {
        self.path.with_extension("unfinished")
    }

    fn save(&self, monitor: &mut Monitor) -> Result<()> {
        monitor.save(STATE_LIMIT)?;
        fs::rename(self.unfinished(), &self.path)
            .with_context(|| format!("cannot save the machine as {}", self.path.display()))?;
        monitor.resume(STATE_LIMIT)
    }
}
