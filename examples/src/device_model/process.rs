//! Runs the program `device_model` as a child, and talks with the guest through it, for the demo and the tests.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A device model, with the serial console of its guest. Dropping it kills it, and the guest waits for ever.
#[derive(Debug)]
pub struct Console {
    domain: String,
    state: PathBuf,
    disk: Option<PathBuf>,
    child: Child,
    output: ChildStdout,
    /// What the guest has printed, and how much of it was looked at.
    text: String,
    seen: usize,
}

impl Console {
    /// Starts `device_model` from the PATH for a guest that has not run yet, with its state in this file, and perhaps with a disk.
    ///
    /// # Errors
    /// If it cannot be started, or cannot be the guest's device model.
    pub fn start(domain: &str, state: &Path, disk: Option<&Path>) -> Result<Self> {
        let (child, output) = spawn(domain, state, disk)?;
        let (domain, state, disk) = (domain.to_owned(), state.to_owned(), disk.map(Path::to_owned));
        let mut console = Self { domain, state, disk, child, output, text: String::new(), seen: 0 };
        console.wait_for_state()?;
        Ok(console)
    }

    /// Kills it, in the middle of whatever it is at, and starts another one.
    ///
    /// # Errors
    /// As [`Console::start`].
    pub fn replace(&mut self) -> Result<()> {
        self.kill()?;
        (self.child, self.output) = spawn(&self.domain, &self.state, self.disk.as_deref())?;
        Ok(())
    }

    /// Kills it, and takes what it has printed. The guest waits from now on.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill device_model")?;
        self.child.wait().context("cannot wait for device_model")?;
        while self.read()? != 0 {}
        Ok(())
    }

    /// A model that has a server says so in the file.
    fn wait_for_state(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.state.metadata().is_ok_and(|file| file.len() > 0) {
            let ended = self.child.try_wait().context("cannot watch device_model")?;
            ensure!(ended.is_none(), "device_model has ended at once");
            ensure!(Instant::now() < deadline, "device_model does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Types to the guest.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("there is no input")?;
        input.write_all(text.as_bytes()).context("device_model takes no input")
    }

    /// Waits until the guest has printed `what` since the last call, and returns the line in which it is.
    ///
    /// # Errors
    /// If it has not within that time, or the program ends.
    pub fn hear(&mut self, what: &str, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(line) = self.heard(what) {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the guest has not printed '{what}'; it printed:\n{}", self.text);
            match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&left.try_into()?)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) if self.read()? == 0 => {
                    bail!("device_model has ended; the guest printed:\n{}", self.text);
                }
                Ok(_) => {}
                Err(errno) => return Err(errno).context("cannot wait for the guest"),
            }
        }
    }

    /// Has the guest's shell run a command, and returns what it says between the marks around it. What was typed comes back, too, but
    /// with the sums that the shell does, and there are no marks in it.
    ///
    /// # Errors
    /// As [`Console::hear`].
    pub fn ask(&mut self, command: &str, patience: Duration) -> Result<String> {
        self.type_in(&format!("echo $((6*7))[ $({command}) ]$((6*7))\n"))?;
        let line = self.hear("42[", patience)?;
        let answer = line.split_once("42[").and_then(|(_, rest)| rest.split_once("]42"));
        Ok(answer.with_context(|| format!("half an answer: {line}"))?.0.trim().to_owned())
    }

    /// The line with `what` among the news, if it has ended.
    fn heard(&mut self, what: &str) -> Option<String> {
        let news = self.text.get(self.seen..)?;
        let found = news.find(what)?;
        let end = found + what.len() + news[found + what.len()..].find('\n')?;
        let start = news[..found].rfind('\n').map_or(0, |end| end + 1);
        let line = news[start..end].trim().to_owned();
        self.seen += end + 1;
        Some(line)
    }

    /// Waits until it ends, as it does with its guest.
    ///
    /// # Errors
    /// If it does not within that time, or not well.
    pub fn wait_end(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch device_model")? {
                ensure!(status.success(), "device_model ended with {status}");
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "device_model has not ended; the guest printed:\n{}",
                self.text
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that the guest has printed so far, as far as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn read(&mut self) -> Result<usize> {
        let mut bytes = [0; 4096];
        let count = self.output.read(&mut bytes).context("cannot read the guest's console")?;
        self.text.push_str(&String::from_utf8_lossy(&bytes[..count]).replace('\r', ""));
        Ok(count)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended with its guest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(domain: &str, state: &Path, disk: Option<&Path>) -> Result<(Child, ChildStdout)> {
    let mut child = Command::new("device_model")
        .args(["--domain", domain, "--state"])
        .arg(state)
        .args(disk.map(|disk| [OsStr::new("--disk"), disk.as_os_str()]).iter().flatten())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start device_model; is the directory with the example programs in the PATH?")?;
    let output = child.stdout.take().context("there is no output")?;
    Ok((child, output))
}

/// A stock Linux PVH guest with a shell on its serial port, made by the test bed's `guest` script. Dropping it stops it.
#[derive(Debug)]
pub struct SerialGuest {
    domain: String,
}

impl SerialGuest {
    /// Its name.
    const NAME: &str = "serial";
    /// What its kernel has to know: the port, and that there is a PCI bus, of which its firmware's tables do not tell. The last console
    /// is the one that the first program has open, and that must not be ours, or it could not be set up.
    const WORDS: &str = "console=ttyS0 console=hvc0 8250.nr_uarts=1 pci=noacpi";
    /// What it prints when its shell is there.
    pub const READY: &str = "@@SHELL";

    /// Makes it, paused. The words are for its kernel.
    ///
    /// # Errors
    /// If the script fails.
    pub fn start(words: &str) -> Result<Self> {
        let shell = format!("exec </dev/ttyS0 >/dev/ttyS0 2>&1; echo {}; exec sh -i", Self::READY);
        let script = format!("polled_port /dev/ttyS0 && setsid sh -c '{shell}'");
        let mut command = Command::new("guest");
        command.args(["start", Self::NAME, "--pvh", "--paused", "--append"]);
        command.arg(format!("{} {words}", Self::WORDS)).arg("--file").arg(program("polled_port")?);
        let domain = output(command.args(["--", &script]))?;
        Ok(Self { domain })
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If `xl` fails.
    pub fn unpause(&self) -> Result<()> {
        output(Command::new("xl").args(["unpause", &self.domain])).map(drop)
    }

    /// Its number.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The file for the state of its devices.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        std::env::temp_dir().join(format!("device-model-{}", self.domain))
    }
}

impl Drop for SerialGuest {
    fn drop(&mut self) {
        // It has powered off as a rule, and then there is nothing to stop.
        let _ = Command::new("guest").args(["stop", Self::NAME]).output();
        let _ = std::fs::remove_file(self.state());
    }
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program of the PATH is.
///
/// # Errors
/// If it is in none of its folders.
pub fn program(name: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).with_context(|| format!("{name} is not in the PATH"))
}
