//! A device model: a running guest's serial port, PCI bus and registers.
//!
//! ```text
//! device_model --domain 3                       the guest's serial console is this terminal
//! device_model --domain 3 --state /run/model    ... and if the program dies, another one goes on
//! device_model --domain 3 --disk disk.img       ... and it has a virtio disk
//! ```
//!
//! The guest is a PVH guest that was created paused. Its kernel wants `console=ttyS0 8250.nr_uarts=1 pci=noacpi`.
//! It ends with the guest, or with SIGINT or SIGTERM; the guest then goes on without devices.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use examples::blkback::disk::Disk;
use examples::device_model::devices::Devices;
use examples::device_model::state::StateFile;
use examples::device_model::virtio::block::Block;
use examples::device_model::virtio::guest::XenGuest;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};
use tracing_subscriber::EnvFilter;
use xen_ctrl::DomId;
use xen_ctrl::devicemodel::DeviceModel;
use xen_foreignmem::ForeignMemory;

/// How often it looks whether the guest is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A guest's serial port, PCI bus and registers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The guest: PVH, and paused
    #[arg(long)]
    domain: DomId,
    /// A file for the devices' state. If there is one already, its devices go on
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The image of a virtio disk
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// The guest may not write to the disk
    #[arg(long, requires = "disk")]
    read_only: bool,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ending)).context("cannot handle signals")?;
    }
    let open =
        |path: &PathBuf| StateFile::open(path).with_context(|| format!("cannot open {}", path.display()));
    let file = arguments.state.as_ref().map(open).transpose()?;
    let memory = ForeignMemory::open()?;
    let model = DeviceModel::new(memory.clone(), arguments.domain);
    let disk = arguments.disk.as_ref().map(|path| Disk::open(path, arguments.read_only)).transpose()?;
    let disk = disk.map(|disk| (Block::new(disk), XenGuest::new(memory, model.clone())));
    let mut devices = Devices::attach(&model, disk, file, io::stdout())?;
    model.restrict()?; // before the guest can say anything
    devices.enable()?;
    let outcome = serve(&mut devices, &ending);
    if let Some(path) = &arguments.state {
        // The server ends with this process, which is of no use to another one then.
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    outcome
}

/// Serves the guest, until it is gone or a signal comes.
fn serve(devices: &mut Devices<io::Stdout>, ending: &AtomicBool) -> Result<()> {
    let mut input = Some(io::stdin());
    while !ending.load(Ordering::Relaxed) {
        let room = devices.room();
        let (is_request, is_input) = wait(devices, input.as_ref().filter(|_| room > 0))?;
        let is_busy = is_request || devices.is_busy();
        if is_busy {
            devices.serve()?;
        }
        if let Some(stdin) = input.as_ref().filter(|_| is_input) {
            let mut bytes = vec![0; room.min(devices.room())];
            match rustix::io::read(stdin, &mut bytes).context("cannot read the input")? {
                0 => input = None,
                count => devices.type_in(&bytes[..count]),
            }
        }
        if !is_busy && !is_input && devices.enable().is_err() {
            tracing::info!("the guest is gone");
            return Ok(());
        }
    }
    Ok(())
}

/// Waits until there is a request, or input; or for neither, for a while.
fn wait(devices: &Devices<io::Stdout>, input: Option<&io::Stdin>) -> Result<(bool, bool)> {
    let mut files = vec![PollFd::new(devices.server(), PollFlags::IN)];
    files.extend(input.map(|input| PollFd::new(input, PollFlags::IN)));
    let patience = if devices.is_busy() { Duration::ZERO } else { HEARTBEAT };
    match poll(&mut files, Some(&patience.try_into()?)) {
        Ok(_) => {
            let is_ready = |file: &PollFd<'_>| !file.revents().is_empty();
            Ok((is_ready(&files[0]), files.get(1).is_some_and(is_ready)))
        }
        Err(Errno::INTR) => Ok((false, false)),
        Err(errno) => Err(errno).context("cannot wait for the guest"),
    }
}
