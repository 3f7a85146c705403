//! The commands, one file each.

mod bench;
mod demo;
mod doctor;
mod fetch;
mod run;
mod shell;
mod test;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write, stderr, stdout};

use anyhow::Result;

use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::{Arguments, Boot, Command, is_name};
use crate::image::Image;
use crate::machine::emulator::Emulator;
use crate::machine::{Machine, Stream, Workshop};
use crate::payload::Payload;

/// Does what the user asked for; the answer is our exit status.
pub(crate) fn perform(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        Command::Fetch(options) => fetch::fetch(&arguments.xen, options),
        Command::Run(options) | Command::Runner(options) => run::run(arguments.cell()?, options),
        Command::Shell(options) => shell::shell(arguments.cell()?, options),
        Command::Test(options) => test::test(&arguments.cells(), options),
        Command::Demo(options) => demo::demo(arguments.cell()?, options),
        Command::Bench(options) => bench::bench(arguments.cell()?, options),
        Command::Doctor => doctor::doctor(),
    }
}

impl<'a> Workshop<'a> {
    /// Makes sure that everything for `cell` is in the cache.
    fn open(cache: &'a Cache, cell: &'static Cell) -> Result<Self> {
        let emulator = Emulator::prepare(cache, cell.architecture)?;
        let image = Image::prepare(cache, cell, false)?;
        Ok(Self { cache, image, emulator })
    }

    /// Starts a machine with what `fill` and the user put into its payload; also tells which script `fill` wants to be run.
    fn equip(
        &self,
        boot: &Boot,
        fill: impl FnOnce(&mut Payload) -> Result<usize>,
    ) -> Result<(Machine, usize)> {
        let cell = self.image.cell();
        let folder = self.cache.scratch()?;
        let archive = folder.path().join("payload");
        let mut payload = Payload::create(&archive, cell.architecture)?;
        let script = fill(&mut payload)?;
        for file in &boot.file {
            payload.file(file)?;
        }
        payload.finish()?;
        Ok((Machine::start(self, boot.setup(cell), &archive, boot.fresh)?, script))
    }
}

/// The variables that a program gets in dom0.
fn environment(options: &Boot) -> BTreeMap<String, String> {
    let inherited = env::vars().filter(|(name, _)| is_name(name) && is_passed_on(name));
    inherited.chain(options.env.iter().cloned()).collect()
}

fn is_passed_on(name: &str) -> bool {
    ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG", "RUST_TEST_THREADS", "RUST_MIN_STACK"]
        .contains(&name)
        || name.starts_with("CARGO_PKG_")
        || name == "CARGO_MANIFEST_DIR"
}

/// Writes what a program in dom0 printed to our own streams, as it comes.
fn pass_on(stream: Stream, data: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Output => stdout().write_all(data).and_then(|()| stdout().flush()),
        Stream::Error => stderr().write_all(data),
    }
}
