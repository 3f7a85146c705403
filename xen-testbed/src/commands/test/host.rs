//! The tests that need no Xen, and those that need only its headers.

use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use super::report::Row;
use super::targets::{FOR_HEADERS, Targets};
use super::transcript::Transcript;
use crate::cache::Cache;
use crate::cargo::cargo;
use crate::cells::Architecture;
use crate::child;
use crate::cli::Test;
use crate::libtest::Results;
use crate::machine::Stream;
use crate::progress::note;
use crate::toolchain::{c_compiler, headers};

/// Where the tests named `abi_*` find what they need; see the README.
const HEADERS: &str = "XEN_TESTBED_HEADERS";
const COMPILERS: [(&str, Architecture); 2] =
    [("XEN_TESTBED_CC_AMD64", Architecture::Amd64), ("XEN_TESTBED_CC_ARM64", Architecture::Arm64)];

/// What the rows of this machine's own tests are called.
const CELL: &str = "host";

/// Runs `cargo test`.
pub(super) fn ordinary_tests(options: &Test) -> Result<Row> {
    let mut arguments: Vec<String> =
        ["--workspace", "--all-features", "--no-fail-fast", "--"].map(str::to_owned).into();
    arguments.extend(options.filter.clone());
    cargo_test(options, "cargo test", &arguments, &[])
}

/// Runs the test targets named `abi_*`, if there are some, with headers and compilers.
pub(super) fn header_tests(options: &Test, targets: &Targets) -> Result<Option<Row>> {
    if !targets.any(FOR_HEADERS) {
        return Ok(None);
    }
    let start = Instant::now();
    let variables = match variables() {
        Ok(variables) => variables,
        Err(error) => {
            let results = Results::failure(format!("the headers cannot be had: {error:#}"));
            let program = format!("{FOR_HEADERS}*");
            return Ok(Some(Row { cell: CELL.into(), program, results, duration: start.elapsed() }));
        }
    };
    note("comparing with the C headers");
    let glob = format!("{FOR_HEADERS}*");
    let mut arguments: Vec<String> =
        ["--workspace", "--all-features", "--no-fail-fast", "--test", &glob].map(str::to_owned).into();
    arguments.extend(["--", "--include-ignored", "--show-output"].map(str::to_owned));
    arguments.extend(options.filter.clone());
    cargo_test(options, &glob, &arguments, &variables).map(Some)
}

fn variables() -> Result<Vec<(&'static str, std::path::PathBuf)>> {
    let cache = Cache::open()?;
    let mut variables = vec![(HEADERS, headers::prepare(&cache)?)];
    for (variable, architecture) in COMPILERS {
        variables.push((variable, c_compiler(&cache, architecture)?));
    }
    Ok(variables)
}

fn cargo_test(
    options: &Test,
    program: &str,
    arguments: &[String],
    variables: &[(&str, std::path::PathBuf)],
) -> Result<Row> {
    let start = Instant::now();
    let mut cargo = child::command(cargo())
        .arg("test")
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut transcript = Transcript::new(options.verbose);
    let mut output = cargo.stdout.take().context("cargo has no output")?;
    let mut buffer = [0; 4096];
    loop {
        let length = output.read(&mut buffer).context("cannot read cargo's output")?;
        if length == 0 {
            break;
        }
        transcript.take(Stream::Output, &buffer[..length]).context("cannot write the tests' output")?;
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    let mut results = transcript.listener().results();
    if !status.success() && results.counts.failed == 0 {
        results.add_failure(format!("cargo test failed ({status})"));
    }
    transcript.close(&results).context("cannot write the tests' output")?;
    let row = Row { cell: CELL.into(), program: program.into(), results, duration: start.elapsed() };
    note(&row.to_string());
    Ok(row)
}
