//! What was measured, as JSON.

use serde::{Deserialize, Serialize};

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
