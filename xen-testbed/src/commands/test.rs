//! `test`: a workspace's tests, on the host and in dom0.

#![expect(clippy::print_stdout, reason = "the report is this command's output")]

use std::collections::BTreeMap;
use std::io::{Read, Write, stdout};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::report::{Report, Row};
use super::{environment, pass_on};
use crate::builds::{Program, build};
use crate::cache::cargo;
use crate::child;
use crate::cli::Test;
use crate::libtest::{Counts, Listener};
use crate::machine::{Machine, Stream, Workshop};
use crate::payload::Payload;
use crate::progress::note;
use crate::release::Release;

/// Test targets whose name begins so are for dom0.
const FOR_DOM0: &str = "hw_";

/// Beyond the limit of the test program itself, which is enforced in dom0.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the tests and prints the report; the answer is 0 if there were some and all of them passed.
pub(super) fn test(release: &'static Release, options: &Test) -> Result<u8> {
    let mut report = Report::default();
    if !options.dom0_only {
        report.add(host_tests(options)?);
    }
    let mut programs = build(&["test", "--workspace", "--all-features", "--no-run"])?;
    // cargo tells them in the order of completion
    programs.sort_by(|one, other| (&one.package, &one.name).cmp(&(&other.package, &other.name)));
    let (tests, tools): (Vec<_>, Vec<_>) = programs.into_iter().partition(|program| program.is_test);
    let tests: Vec<_> = tests.into_iter().filter(|program| program.name.starts_with(FOR_DOM0)).collect();
    if !tests.is_empty() {
        let mut bench = Bench::prepare(release, options, tests, &tools)?;
        bench.run_all(&mut report)?;
    }
    println!("\n{report}");
    Ok(u8::from(!report.is_success()))
}

/// The tests that need no Xen.
fn host_tests(options: &Test) -> Result<Row> {
    let start = Instant::now();
    let mut cargo = child::command(cargo())
        .args(["test", "--workspace", "--all-features", "--no-fail-fast", "--"])
        .args(&options.filter)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut listener = Listener::default();
    let mut output = cargo.stdout.take().context("cargo has no output")?;
    let mut buffer = [0; 4096];
    loop {
        let length = output.read(&mut buffer).context("cannot read cargo's output")?;
        if length == 0 {
            break;
        }
        listener.hear(&buffer[..length]);
        stdout().write_all(&buffer[..length]).context("cannot write the tests' output")?;
    }
    let is_success = cargo.wait().context("cannot wait for cargo")?.success();
    let counts = judge(listener.counts(), is_success);
    Ok(Row { cell: "host".into(), program: "cargo test".into(), counts, duration: start.elapsed() })
}

/// A program that fails without saying which test did counts as one failure.
fn judge(counts: Option<Counts>, is_success: bool) -> Counts {
    let mut counts = counts.unwrap_or(Counts { failed: 1, ..Counts::default() });
    if !is_success {
        counts.failed = counts.failed.max(1);
    }
    counts
}

/// The machine on which the test programs run one after another, and all it takes to start another one.
struct Bench<'a> {
    workshop: Workshop,
    release: &'static Release,
    options: &'a Test,
    /// Script number and name of each test program.
    tests: Vec<(usize, String)>,
    folder: TempDir,
    machine: Option<Machine>,
}

impl<'a> Bench<'a> {
    fn prepare(
        release: &'static Release,
        options: &'a Test,
        tests: Vec<Program>,
        tools: &[Program],
    ) -> Result<Self> {
        let workshop = Workshop::open(release)?;
        let folder = workshop.cache.scratch()?;
        let mut payload = Payload::create(&folder.path().join("payload"))?;
        for tool in tools {
            payload.program(&tool.path, "t/bin", &[])?;
        }
        let environment: BTreeMap<_, _> = environment(&options.boot);
        let mut arguments =
            vec!["--include-ignored".to_owned(), "--test-threads=1".into(), "--show-output".into()];
        arguments.extend(options.filter.clone());
        let mut scripts = Vec::new();
        for test in tests {
            let invocation =
                payload.program(&test.path, "t/tests", &arguments)?.limited_to(options.boot.timeout);
            scripts.push((
                payload.script(&environment, &invocation)?,
                format!("{} {}", test.package, test.name),
            ));
        }
        for file in &options.boot.file {
            payload.file(file)?;
        }
        payload.finish()?;
        Ok(Self { workshop, release, options, tests: scripts, folder, machine: None })
    }

    fn run_all(&mut self, report: &mut Report) -> Result<()> {
        for (script, name) in self.tests.clone() {
            note(&format!("{name} on {}", self.release));
            let start = Instant::now();
            let counts = self.run(script, &name)?;
            report.add(Row { cell: self.release.cell(), program: name, counts, duration: start.elapsed() });
        }
        Ok(())
    }

    /// Runs one program. If the machine dies of it, that is the program's failure, and the next one gets a new machine.
    fn run(&mut self, script: usize, name: &str) -> Result<Counts> {
        let boot = &self.options.boot;
        let mut machine = match self.machine.take() {
            Some(machine) => machine,
            None => {
                Machine::start(&self.workshop, boot.setup(), &self.folder.path().join("payload"), boot.fresh)?
            }
        };
        let mut listener = Listener::default();
        let limit = Duration::from_secs(boot.timeout) + GRACE;
        let ended = machine.run(script, limit, &mut |stream, data| {
            if stream == Stream::Output {
                listener.hear(data);
            }
            pass_on(stream, data)
        });
        let is_success = match &ended {
            Ok(status) => {
                explain(name, *status, boot.timeout, listener.counts().is_some());
                *status == 0
            }
            Err(error) => {
                note(&format!("{name}: {error:#}"));
                false
            }
        };
        if ended.is_ok() {
            self.machine = Some(machine);
        }
        Ok(judge(listener.counts(), is_success))
    }
}

fn explain(name: &str, status: u8, limit: u64, has_result: bool) {
    const KILLED: u8 = 128 + 9;
    match (status, has_result) {
        (_, true) => {}
        (KILLED, false) => note(&format!("{name} was killed; it may take {limit} seconds (--timeout)")),
        (_, false) => note(&format!("{name} ended with status {status} and without a result")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgement() {
        let good = Counts { passed: 3, failed: 0, skipped: 1 };
        assert_eq!(judge(Some(good), true), good);
        assert_eq!(judge(Some(good), false).failed, 1, "a bad exit status is a failure");
        assert_eq!(judge(None, true).failed, 1, "and so is no result");
    }
}
