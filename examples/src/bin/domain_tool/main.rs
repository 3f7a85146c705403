//! Looks after domains: lists, describes, pauses, creates and destroys them, on any supported hypervisor.
//!
//! ```text
//! domain_tool list                      all domains
//! domain_tool --json info 3             one of them, for programs
//! domain_tool pause 3
//! domain_tool create --kind hvm --memory 64 --vcpus 2
//! domain_tool host | vcpus | pools      the host, all vCPUs, the cpupools
//! domain_tool shares                    weights and caps of all domains
//! ```
#![expect(clippy::print_stdout, reason = "a program's output")]

mod describe;
mod table;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use examples::toolstack::Names;
use serde_json::{Value, json};
use xen_ctrl::domain::{CreateDomain, DomainKind};
use xen_ctrl::{DomId, Domain, Xenctrl};

/// Looks after domains.
#[derive(Parser)]
struct Arguments {
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// List all domains
    List,
    /// Describe a domain
    Info { domain: DomId },
    /// Describe the host
    Host,
    /// List the vCPUs of all domains
    Vcpus,
    /// List the cpupools
    Pools,
    /// List what the schedulers know of all domains
    Shares,
    /// Pause a domain; pauses are counted
    Pause { domain: DomId },
    /// Take one pause back
    Unpause { domain: DomId },
    /// Create a domain: paused, and with nothing in its memory
    Create(Creation),
    /// Destroy a domain
    Destroy { domain: DomId },
}

#[derive(Parser)]
struct Creation {
    /// How it sees the machine
    #[arg(long, value_enum, default_value_t = Kind::Hvm)]
    kind: Kind,
    /// How much memory it may have, in MiB
    #[arg(long, default_value_t = 16)]
    memory: u64,
    /// How many vCPUs it has
    #[arg(long, default_value_t = 1)]
    vcpus: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Pv,
    Hvm,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let xen = Xenctrl::open()?;
    let described = match arguments.command {
        Task::List => describe::domains(&xen.domains()?, &mut Names::open()),
        Task::Info { domain } => info(xen.domain(domain))?,
        Task::Host => describe::host(&xen)?,
        Task::Vcpus => describe::vcpus(&xen, &mut Names::open())?,
        Task::Pools => describe::pools(&xen, &mut Names::open())?,
        Task::Shares => describe::shares(&xen, &mut Names::open())?,
        Task::Create(creation) => info(create(&xen, &creation)?)?,
        Task::Pause { domain } => {
            xen.domain(domain).pause()?;
            info(xen.domain(domain))?
        }
        Task::Unpause { domain } => {
            xen.domain(domain).unpause()?;
            info(xen.domain(domain))?
        }
        Task::Destroy { domain } => {
            xen.domain(domain).destroy()?;
            json!({ "id": domain.get(), "destroyed": true })
        }
    };
    println!(
        "{}",
        if arguments.json { serde_json::to_string_pretty(&described)? } else { table::print(&described) }
    );
    Ok(())
}

fn info(domain: Domain<'_>) -> Result<Value> {
    Ok(describe::domain(&domain.info()?, &mut Names::open()))
}

/// A domain that outlives this program; if something fails on the way, there is none.
fn create<'a>(xen: &'a Xenctrl, creation: &Creation) -> Result<Domain<'a>> {
    let kind = match creation.kind {
        Kind::Pv => DomainKind::Pv,
        Kind::Hvm => DomainKind::Hvm,
    };
    let options = CreateDomain::new(kind).max_vcpus(creation.vcpus);
    let domain = xen.create_domain(&options)?;
    domain.set_max_vcpus(creation.vcpus)?;
    let kib = creation.memory.checked_mul(1024).context("no host has so much memory")?;
    domain.set_max_memory(kib)?;
    Ok(domain.keep())
}
