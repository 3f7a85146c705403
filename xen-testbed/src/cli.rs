//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cells::{CELLS, Cell, CellName, USUAL};
use crate::machine::setup::Setup;

/// Boots the real Xen hypervisor in QEMU and runs programs, tests and guests on it.
///
/// Nothing is installed: hypervisor, kernel, tools and (if need be) QEMU come from Debian's archive through this machine's apt
/// and are kept in the cargo target folder; `XEN_TESTBED_CACHE` chooses another place.
#[derive(Debug, Parser)]
#[command(name = "xen-testbed", version)]
pub(crate) struct Arguments {
    /// The hypervisor; 4.17 if none is named, but `test` then goes through all. `test` and `fetch` take a list: 4.14,4.20
    #[arg(
        long,
        global = true,
        value_enum,
        value_delimiter = ',',
        value_name = "CELL",
        env = "XEN_TESTBED_XEN"
    )]
    pub(crate) xen: Vec<CellName>,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The one cell for commands that use one.
    pub(crate) fn cell(&self) -> Result<&'static Cell> {
        match self.xen[..] {
            [] => Ok(USUAL.cell()),
            [name] => Ok(name.cell()),
            _ => bail!("only `test` and `fetch` take more than one hypervisor"),
        }
    }

    /// The cells for `test`.
    pub(crate) fn cells(&self) -> Vec<&'static Cell> {
        if self.xen.is_empty() {
            CELLS.iter().collect()
        } else {
            self.xen.iter().map(|name| name.cell()).collect()
        }
    }
}

/// The things that can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch and prepare everything, with the archive's newest packages, and boot once
    Fetch(Fetch),
    /// Run one program in dom0; its output and exit status come back
    Run(Run),
    /// A prompt in dom0 on this terminal; or, with input that is no terminal, run that as a script
    Shell(Boot),
    /// Run this workspace's tests: `cargo test` here, and on each hypervisor the test targets named hw_* in dom0 and those
    /// named domu_* in a guest
    Test(Test),
    /// Run the program `demo` of the package `examples` in dom0
    Demo(Demo),
    /// Measure what this workspace's crates cost, with the programs of the package `benches`, and report it
    Bench(Bench),
    /// As `run`, to be set as cargo's runner
    Runner(Run),
    /// Check this machine for what is needed, and say how to mend it
    Doctor,
}

/// Options of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// Throw away what was fetched and built before
    #[arg(long)]
    pub(crate) again: bool,
}

/// Which machine, and how it starts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Boot {
    /// Count instructions: one nanosecond of dom0's time is one instruction, the same in each run
    #[arg(long)]
    pub(crate) count: bool,

    /// Virtual processors of dom0. With 2, none is left for tests of cpupools
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        conflicts_with = "count",
        value_parser = clap::value_parser!(u32).range(1..=2)
    )]
    pub(crate) vcpus: u32,

    /// Boot anew instead of resuming the machine that was saved after its first boot
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Copy this file or folder to /t in dom0
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Vec<PathBuf>,

    /// Set this variable; `RUST_BACKTRACE` and `RUST_LOG` are passed on anyway
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<(String, String)>,

    /// Seconds that the program may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600, env = "XEN_TESTBED_TIMEOUT")]
    pub(crate) timeout: u64,
}

impl Boot {
    /// The machine for `cell` that these options ask for.
    pub(crate) fn setup(&self, cell: &Cell) -> Setup {
        Setup { architecture: cell.architecture, board: cell.board, count: self.count, vcpus: self.vcpus }
    }

    /// How long the program may take.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Options of `run` and `runner`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which machine
    #[command(flatten)]
    pub(crate) boot: Boot,

    /// With a slash: a program of this machine, copied to dom0's /t with its libraries. Without: a command of dom0.
    /// Its standard input is empty
    pub(crate) program: String,

    /// The program's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Which machine; the time limit is for each test program
    #[command(flatten)]
    pub(crate) boot: Boot,

    /// Show what the programs print as it comes, not only of those in which something failed
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Leave out `cargo test` on this machine
    #[arg(long)]
    pub(crate) dom0_only: bool,

    /// Only this test program for dom0 or guests, or all that match, as in `hw_mem*`; leaves out this machine's own tests
    #[arg(long = "test", value_name = "NAME")]
    pub(crate) program: Option<String>,

    /// Only tests whose name contains this
    pub(crate) filter: Option<String>,
}

/// Options of `bench`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Bench {
    /// Which machine; `--count` and `--vcpus` go without saying where they are needed
    #[command(flatten)]
    pub(crate) boot: Boot,

    /// Measure only this; can be given several times
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Vec<Part>,

    /// Where the report's files go, if everything is measured
    #[arg(long, value_name = "FOLDER", default_value = "docs/performance")]
    pub(crate) into: PathBuf,

    /// Measure only operations whose name contains this
    pub(crate) filter: Option<String>,
}

impl Bench {
    /// Whether nothing is left out.
    pub(crate) fn is_complete(&self) -> bool {
        self.only.is_empty() && self.filter.is_none()
    }

    /// Whether a part is asked for.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.is_complete() || self.only.contains(&part) || (self.only.is_empty() && part == Part::Operations)
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Each operation by itself, beside the C libraries and bare system calls
    Operations,
    /// The block backend, beside the kernel's
    Disk,
    /// Operations of two threads at the same time
    Threads,
    /// What our code costs by itself, with a fake kernel, on this machine: many items, and threads
    Fake,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which machine
    #[command(flatten)]
    pub(crate) boot: Boot,

    /// The demo's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

fn parse_variable(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected, NAME of letters, digits and _".into()),
    }
}

/// Whether a shell can have a variable of this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_of_the_program_are_left_alone() {
        let parsed = Arguments::parse_from(["xen-testbed", "run", "--count", "--", "xl", "list", "--long"]);
        let Command::Run(run) = parsed.command else { panic!("{parsed:?}") };
        assert!(run.boot.count && run.program == "xl" && run.arguments == ["list", "--long"]);
        let parsed =
            Arguments::parse_from(["xen-testbed", "runner", "/target/test-1", "--nocapture", "--xen"]);
        let Command::Runner(run) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(run.arguments, ["--nocapture", "--xen"]);
    }

    #[test]
    fn hypervisors() {
        let cells =
            |arguments: &[&str]| Arguments::parse_from(["xen-testbed"].iter().chain(arguments)).cells().len();
        assert_eq!(cells(&["test"]), CELLS.len());
        assert_eq!(cells(&["test", "--xen", "4.14,4.20-arm64"]), 2);
        let one = Arguments::parse_from(["xen-testbed", "--xen", "4.14", "run", "true"]);
        assert_eq!(one.cell().expect("one").name, "4.14");
        let two = Arguments::parse_from(["xen-testbed", "--xen", "4.14,4.17", "run", "true"]);
        assert!(two.cell().is_err());
    }

    #[test]
    fn parts_of_the_measurement() {
        let wanted = |arguments: &[&str]| {
            let parsed = Arguments::parse_from(["xen-testbed", "bench"].iter().chain(arguments));
            let Command::Bench(bench) = parsed.command else { panic!("{parsed:?}") };
            Part::value_variants().iter().filter(|part| bench.wants(**part)).count()
        };
        assert_eq!(wanted(&[]), 4);
        assert_eq!(wanted(&["notify"]), 1);
        assert_eq!(wanted(&["--only", "disk", "--only", "fake"]), 2);
    }

    #[test]
    fn variables() {
        assert_eq!(parse_variable("A_1=b=c"), Ok(("A_1".into(), "b=c".into())));
        assert!(
            parse_variable("1A=b").is_err()
                && parse_variable("A;b=c").is_err()
                && parse_variable("A").is_err()
        );
    }
}
