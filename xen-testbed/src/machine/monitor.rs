//! QEMU's monitor protocol: pausing a machine, saving it, continuing it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The environment variable from which QEMU's helper shell takes the file of a saved machine; so no path needs quoting.
pub(crate) const STATE_VARIABLE: &str = "XEN_TESTBED_STATE";

/// A conversation with QEMU.
#[derive(Debug)]
pub(crate) struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Greets QEMU at the other end of `stream`.
    pub(crate) fn connect(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(30))).context("cannot set up QEMU's monitor")?;
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Pauses the machine and writes it to the file that [`STATE_VARIABLE`] names.
    pub(crate) fn save(&mut self, limit: Duration) -> Result<()> {
        self.execute("stop", &json!({}))?;
        let bandwidth = json!({"max-bandwidth": u32::MAX}); // the default suits a network
        self.execute("migrate-set-parameters", &bandwidth)?;
        self.execute("migrate", &json!({"uri": format!("exec:cat >\"${STATE_VARIABLE}\"")}))?;
        self.wait(limit, "saving the machine", |monitor| {
            let status = monitor.execute("query-migrate", &json!({}))?;
            match status["status"].as_str() {
                Some("completed") => Ok(true),
                Some("failed" | "cancelled") => bail!("QEMU could not save the machine: {status}"),
                _ => Ok(false),
            }
        })
    }

    /// Lets a machine that was saved, or is being restored, run on.
    pub(crate) fn resume(&mut self, limit: Duration) -> Result<()> {
        self.wait(limit, "restoring the machine", |monitor| {
            let status = monitor.execute("query-status", &json!({}))?;
            Ok(status["status"] != "inmigrate")
        })?;
        self.execute("cont", &json!({})).map(|_| ())
    }

    fn wait(
        &mut self,
        limit: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        while !done(self)? {
            if start.elapsed() > limit {
                bail!("{what} took more than {} seconds", limit.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let message = json!({"execute": command, "arguments": arguments});
        let gone = || format!("QEMU went away while it was asked for {command}");
        self.stream.get_mut().write_all(format!("{message}\n").as_bytes()).with_context(gone)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).with_context(gone)? == 0 {
                bail!(gone());
            }
            let mut answer: Value = serde_json::from_str(&line)
                .with_context(|| format!("QEMU's monitor said something strange: {line}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"]);
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // a greeting or an event
        }
    }
}
