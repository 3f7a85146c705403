//! The Linux guest: started by the test bed's `guest` script, followed on its console.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::image::run;

const NAME: &str = "demo";
/// What the guest does with its disks.
const SCRIPT: &str = include_str!("guest.sh");
/// Looking more often would take the processor from the guest.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Lines of the console that are shown when something goes wrong.
const TAIL: usize = 25;

/// A running guest. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) domain: String,
    console: PathBuf,
    /// Lines of the console that were looked at.
    seen: usize,
}

impl Guest {
    /// Starts a guest that runs the script on the given disks as soon as they come.
    pub(crate) fn start(disks: &[&str]) -> Result<Self> {
        let script = std::env::temp_dir().join("demo-guest.sh");
        fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        let output = Command::new("guest")
            .args(["start", NAME, "--pv", "--memory", "256", "--vcpus", "2", "--file"])
            .arg(&script)
            .args(["--", "sh", "/t/demo-guest.sh"])
            .args(disks)
            .output()
            .context("cannot start the command guest; this program runs in dom0 of the test bed")?;
        ensure!(
            output.status.success(),
            "the guest did not start: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let domain = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let console = PathBuf::from(format!("/tmp/console/guest-{NAME}.log"));
        Ok(Self { domain, console, seen: 0 })
    }

    /// Waits until the guest says `what` of `disk`, and returns the rest of that line.
    pub(crate) fn hear(&mut self, disk: &str, what: &str, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        let (wanted, failed) = (format!("@@demo {disk} {what}"), format!("@@demo {disk} failed "));
        while Instant::now() < deadline {
            let console = self.console();
            for line in console.lines().skip(self.seen) {
                self.seen += 1;
                if let Some((_, rest)) = line.split_once(&wanted) {
                    return Ok(rest.trim().to_owned());
                }
                if let Some((_, reason)) = line.split_once(&failed) {
                    bail!("the guest says: {reason}\n{}", self.tail());
                }
                let ended = line.contains("@@GUEST EXIT") || line.contains("Kernel panic");
                ensure!(!ended, "the guest ended before its disk {disk} was {what}\n{}", self.tail());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        bail!("the guest's disk {disk} was not {what} within {} s\n{}", patience.as_secs(), self.tail())
    }

    /// Waits until the guest has powered off.
    pub(crate) fn wait_end(&self) -> Result<()> {
        run(Command::new("guest").args(["wait", NAME, "@@GUEST EXIT 0", "120"])).with_context(|| self.tail())
    }

    /// Whole lines that the guest has printed. The last one may still grow.
    fn console(&self) -> String {
        let mut text = String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    fn tail(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL)..];
        format!("the end of its console:\n    {}", tail.join("\n    "))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It has powered off as a rule, and then there is nothing to stop.
        let _ = Command::new("guest").args(["stop", NAME]).output();
    }
}
