//! The table of what can be booted: which hypervisor, with which dom0 kernel, on which processor. A new one is a row here.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// x86-64, `amd64` in Debian.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// Debian's name, as in package file names.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in Linux, GNU tools and QEMU.
    pub(crate) fn gnu(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Debian's folder for libraries and headers.
    pub(crate) fn multiarch(self) -> String {
        format!("{}-linux-gnu", self.gnu())
    }

    /// Rust's name for programs of this architecture.
    pub(crate) fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.gnu())
    }

    /// The dynamic loader, where every program looks for it.
    pub(crate) fn loader(self) -> &'static str {
        match self {
            Self::Amd64 => "lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "lib/ld-linux-aarch64.so.1",
        }
    }
}

/// Where a hypervisor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hypervisor {
    /// Debian's package.
    Packaged,
    /// Debian's source package, built here with more switched on.
    Built,
}

/// What a hypervisor runs on, apart from the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Board {
    /// QEMU's usual one.
    Usual,
    /// One with an IOMMU that remaps interrupts, too, and with PCI devices that nobody drives.
    Iommu,
}

/// A dom0 kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Its version, for people to read.
    pub(crate) version: &'static str,
    /// The Debian suite that has it.
    pub(crate) suite: &'static str,
    /// The package that always depends on the suite's newest one.
    pub(crate) package: &'static str,
}

/// One cell of the test matrix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// What the user calls it.
    pub(crate) name: &'static str,
    /// The hypervisor's version.
    pub(crate) xen: &'static str,
    /// The Debian suite that has the hypervisor and its tools.
    pub(crate) suite: &'static str,
    /// How the hypervisor is made.
    pub(crate) hypervisor: Hypervisor,
    /// Dom0's kernel.
    pub(crate) kernel: Kernel,
    /// The kernel of its guests.
    pub(crate) guest_kernel: Kernel,
    /// What it runs on.
    pub(crate) architecture: Architecture,
    /// And what that is part of.
    pub(crate) board: Board,
    /// Whether the matrix is complete without it: then it is skipped, loudly, if it cannot be had.
    pub(crate) is_optional: bool,
}

const LINUX_5_10: Kernel = Kernel { version: "5.10", suite: "bullseye", package: "linux-image-amd64" };
const LINUX_6_1: Kernel = Kernel { version: "6.1", suite: "bookworm", package: "linux-image-amd64" };
const LINUX_6_12: Kernel = Kernel { version: "6.12", suite: "trixie", package: "linux-image-amd64" };
const NEWEST: Kernel = Kernel { version: "newest", suite: "sid", package: "linux-image-amd64" };
const ARM_6_1: Kernel = Kernel { version: "6.1", suite: "bookworm", package: "linux-image-arm64" };
const ARM_6_12: Kernel = Kernel { version: "6.12", suite: "trixie", package: "linux-image-arm64" };
const ARM_16K: Kernel =
    Kernel { version: "6.12 with pages of 16 KiB", suite: "trixie", package: "linux-image-arm64-16k" };

/// A hypervisor as Debian ships it.
const fn packaged(
    name: &'static str,
    xen: &'static str,
    suite: &'static str,
    kernel: Kernel,
    architecture: Architecture,
) -> Cell {
    let (hypervisor, guest_kernel, board) = (Hypervisor::Packaged, kernel, Board::Usual);
    Cell { name, xen, suite, hypervisor, kernel, guest_kernel, architecture, board, is_optional: false }
}

use Architecture::{Amd64, Arm64};

/// Every cell, in the order in which the matrix runs.
pub(crate) const CELLS: [Cell; 9] = [
    packaged("4.14", "4.14", "bullseye", LINUX_5_10, Amd64),
    packaged("4.17", "4.17", "bookworm", LINUX_6_1, Amd64),
    packaged("4.20", "4.20", "trixie", LINUX_6_12, Amd64),
    Cell {
        is_optional: true,
        // the newest one does not boot in an HVM guest under QEMU 7.2, which keeps Xen from seeing what it does to XCR0
        guest_kernel: LINUX_6_12,
        ..packaged("4.20-sid", "4.20", "trixie", NEWEST, Amd64)
    },
    Cell {
        hypervisor: Hypervisor::Built,
        is_optional: true,
        ..packaged("4.17-debug", "4.17", "bookworm", LINUX_6_1, Amd64)
    },
    Cell { board: Board::Iommu, ..packaged("4.17-iommu", "4.17", "bookworm", LINUX_6_1, Amd64) },
    packaged("4.17-arm64", "4.17", "bookworm", ARM_6_1, Arm64),
    packaged("4.20-arm64", "4.20", "trixie", ARM_6_12, Arm64),
    packaged("4.20-arm64-16k", "4.20", "trixie", ARM_16K, Arm64),
];

/// The cell that is meant when none is named.
pub(crate) const USUAL: CellName = CellName(1);

/// The suite from which QEMU and compilers are unpacked on machines without them.
pub(crate) const TOOL_SUITE: &str = "bookworm";

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xen {} with Linux {}", self.xen, self.kernel.version)?;
        if self.kernel.suite == self.suite {
            write!(f, " (Debian {}, ", self.suite)?;
        } else {
            write!(f, " (Debian {}, the kernel of {}, ", self.suite, self.kernel.suite)?;
        }
        if self.hypervisor == Hypervisor::Built {
            f.write_str("the hypervisor built with more switched on, ")?;
        }
        if self.board == Board::Iommu {
            f.write_str("on a machine with an IOMMU, ")?;
        }
        write!(f, "{})", self.architecture.debian())
    }
}

/// What the option for a cell takes: an index into [`CELLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellName(usize);

impl CellName {
    /// The cell of this name.
    pub(crate) fn cell(self) -> &'static Cell {
        &CELLS[self.0]
    }
}

impl ValueEnum for CellName {
    fn value_variants<'a>() -> &'a [Self] {
        const NAMES: [CellName; CELLS.len()] = {
            let mut names = [CellName(0); CELLS.len()];
            let mut index = 0;
            while index < names.len() {
                names[index] = CellName(index);
                index += 1;
            }
            names
        };
        &NAMES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let cell = self.cell();
        Some(PossibleValue::new(cell.name).help(cell.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let names: BTreeSet<_> = CELLS.iter().map(|cell| cell.name).collect();
        assert_eq!(names.len(), CELLS.len());
        assert_eq!(USUAL.cell().name, "4.17");
    }
}
