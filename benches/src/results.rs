//! What was measured, as JSON.

use serde::{Deserialize, Serialize};
use std::io::{self, Write, stdout};

/// What one program measured, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// `bench`: operations, each by itself.
    Operations(Run),
    /// `disk`: block backends.
    Disk(Vec<Backend>),
    /// `threads`, and `fake threads`: operations of several threads.
    Threads(Threads),
    /// `fake items`: operations on many items.
    Items(Vec<Items>),
}

impl Measured {
    /// Writes it to standard output, for the program `report`.
    ///
    /// # Errors
    ///
    /// If that cannot be written to.
    pub fn print(&self) -> io::Result<()> {
        serde_json::to_writer_pretty(stdout(), self)?;
        writeln!(stdout())
    }
}

/// One run of the program `bench`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What the costs are.
    pub unit: Unit,
    /// The hypervisor's version, as `4.17`.
    pub xen: String,
    /// Dom0's kernel.
    pub linux: String,
    /// The processor.
    pub architecture: String,
    /// Every operation, in the order in which they were measured.
    pub operations: Vec<Operation>,
}

/// What a cost is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Of program, kernel and hypervisor; on a machine whose clock counts them.
    Instructions,
    /// Time.
    Nanoseconds,
}

/// One operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The device or the topic.
    pub group: String,
    /// What is done.
    pub name: String,
    /// How many items one run does: ports, grants, pages.
    pub units: u32,
    /// With the crates of this workspace.
    pub ours: Cost,
    /// With the C libraries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c: Option<Cost>,
    /// With nothing but system calls, whose arguments were prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Cost>,
}

impl Operation {
    /// Group and name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }
}

/// What one run of an operation cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The middle one of all runs.
    pub median: f64,
    /// The least of all runs.
    pub min: f64,
    /// How many system calls were made.
    pub system_calls: u64,
    /// How often memory was taken from the heap, by Rust or by C.
    pub allocations: u64,
}

/// A block backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backend {
    /// Whose it is, and how it gets at a guest's pages.
    pub name: String,
    /// What a guest did with its disk.
    pub phases: Vec<Phase>,
}

/// Requests of one kind, one after another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// Which kind.
    pub name: String,
    /// How many.
    pub requests: u64,
    /// How long each is.
    pub request_bytes: u64,
    /// How long they took altogether, as the guest saw it.
    pub seconds: f64,
    /// The processor time of dom0, beyond what it uses when nothing happens.
    pub dom0_seconds: f64,
}

/// What several threads do, and on which kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Threads {
    /// The kernel.
    pub kernel: Kernel,
    /// One for each operation.
    pub operations: Vec<Concurrent>,
}

/// Who answers the system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Linux in dom0, with real Xen behind it.
    Real,
    /// A function that says yes at once.
    Fake,
}

/// An operation, done by several threads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Concurrent {
    /// What is done.
    pub name: String,
    /// With the crates of this workspace.
    pub ours: Rates,
    /// With nothing but system calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Rates>,
}

/// Operations in a second, by all threads together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// One thread.
    pub one: f64,
    /// Two threads with the same handle.
    pub shared: f64,
    /// Two threads with a handle each.
    pub apart: f64,
}

/// An operation on more and more items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Items {
    /// What is done.
    pub name: String,
    /// How many items, and how many nanoseconds for each.
    pub nanoseconds: Vec<(u32, f64)>,
}
