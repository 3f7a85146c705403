//! A tiny guest of the test bed.

use anyhow::{Context, Result, ensure};
use std::process::Command;
use xen_sys::{DomId, GrantRef, Port};

/// A guest of the test bed (`guest mini`), which is destroyed in the end.
#[derive(Debug)]
pub struct Guest {
    name: String,
    /// What it said when it was ready: `domid=3 port=4 …`.
    line: String,
}

impl Guest {
    /// Starts a guest.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start(name: &str) -> Result<Self> {
        let output = Command::new("guest").args(["mini", name]).output().context("the test bed's command")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "no guest {name}: {}", complaint.trim_end());
        Ok(Self { name: name.to_owned(), line: String::from_utf8_lossy(&output.stdout).into_owned() })
    }

    /// Its domain.
    ///
    /// # Errors
    ///
    /// If it has not told.
    pub fn domain(&self) -> Result<DomId> {
        Ok(DomId::try_from(self.number("domid")?)?)
    }

    /// The port which it listens to, for dom0 to bind to. It sends events back.
    ///
    /// # Errors
    ///
    /// If it has not told.
    pub fn port(&self) -> Result<Port> {
        self.number("port").map(Port::new)
    }

    /// The first of 600 grants with consecutive references.
    ///
    /// # Errors
    ///
    /// If it has not told.
    pub fn pool(&self) -> Result<GrantRef> {
        self.number("pool").map(GrantRef::new)
    }

    fn number(&self, name: &str) -> Result<u32> {
        let value = self.line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let value = value.with_context(|| format!("the guest told no {name}: '{}'", self.line))?;
        Ok(value.split('+').next().unwrap_or(value).parse()?)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Nobody needs to know whether it was still there.
        let _ = Command::new("guest").args(["stop", &self.name]).output();
    }
}
