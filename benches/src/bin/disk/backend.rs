//! The backends: the kernel's and ours.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command};

/// The disk's image, with all of its blocks. It goes with this.
pub(crate) struct Image(PathBuf);

impl Image {
    pub(crate) fn create() -> Result<Self> {
        const MIB: usize = 1 << 20;
        let this = Self(env_temp("disk.img"));
        let mut file = File::create(&this.0)?;
        (0..64).try_for_each(|_| file.write_all(&vec![0xa5; MIB]))?;
        // Whoever comes first would pay for the kernel's finding out that the pages are in use.
        (0..3).try_for_each(|_| fs::read(&this.0).map(drop))?;
        Ok(this)
    }

    fn path(&self) -> Result<&str> {
        self.0.to_str().context("the path of the image is no text")
    }
}

fn env_temp(name: &str) -> PathBuf {
    std::env::temp_dir().join(name)
}

impl Drop for Image {
    fn drop(&mut self) {
        // It is in memory, which ends with the machine at the latest.
        let _ = fs::remove_file(&self.0);
    }
}

/// Something that serves the image as a guest's disk `xvda`. It ends with this.
pub(crate) enum Backend {
    Kernel,
    Ours { program: Child, log: PathBuf },
}

const LOOP: &str = "/dev/loop0";

impl Backend {
    /// The kernel's, with a loop device for the file.
    pub(crate) fn kernel(image: &Image, domain: &str) -> Result<Self> {
        run("mp", &["loop", "xen-blkback"])?;
        run("losetup", &[LOOP, image.path()?])?;
        run("xl", &["block-attach", domain, &format!("phy:{LOOP}"), "xvda", "w"])?;
        Ok(Self::Kernel)
    }

    pub(crate) fn ours(program: &str, image: &Image, domain: &str, transfer: &str) -> Result<Self> {
        let log = env_temp("disk.log");
        let output = File::create(&log)?;
        let program = Command::new(program)
            .args(["--domain", domain, "--device", "xvda", "--image", image.path()?, "--transfer", transfer])
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self::Ours { program, log })
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Kernel => String::new(),
            Self::Ours { log, .. } => fs::read_to_string(log).unwrap_or_default(),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // The guest is gone, and what is left goes with the machine.
        match self {
            Self::Kernel => drop(run("losetup", &["-d", LOOP])),
            Self::Ours { program, .. } => drop(program.kill().and_then(|()| program.wait())),
        }
    }
}

/// Runs a command of dom0.
pub(crate) fn run(command: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(command).args(arguments).output().with_context(|| format!("cannot run {command}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command} {}: {}", arguments.join(" "), complaint.trim_end());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
