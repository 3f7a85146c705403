//! The table of what can be booted: which Debian suite holds which hypervisor and kernel.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// A processor architecture of Debian; only x86-64 has cells so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// x86-64, `amd64` in Debian.
    Amd64,
}

impl Architecture {
    /// Debian's name, as in package file names.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
        }
    }
}

/// One cell of the test matrix: a hypervisor and the dom0 that Debian ships with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// The hypervisor's version, as the user names it.
    pub(crate) xen: &'static str,
    /// The Debian suite that has it.
    pub(crate) suite: &'static str,
    /// The suite's Linux, for people to read.
    pub(crate) linux: &'static str,
    /// What it runs on.
    pub(crate) architecture: Architecture,
}

/// Every cell, oldest first.
pub(crate) const RELEASES: [Release; 3] = [
    Release { xen: "4.14", suite: "bullseye", linux: "5.10", architecture: Architecture::Amd64 },
    Release { xen: "4.17", suite: "bookworm", linux: "6.1", architecture: Architecture::Amd64 },
    Release { xen: "4.20", suite: "trixie", linux: "6.12", architecture: Architecture::Amd64 },
];

/// The suite from which QEMU is unpacked on machines without one.
pub(crate) const QEMU_SUITE: &str = "bookworm";

impl Release {
    /// The name of this cell in reports.
    pub(crate) fn cell(&self) -> String {
        format!("xen-{}-{}", self.xen, self.architecture.debian())
    }

    /// The packages to ask for; what they depend on is resolved by apt.
    pub(crate) fn packages(&self) -> Vec<String> {
        let architecture = self.architecture.debian();
        vec![
            format!("linux-image-{architecture}"),
            format!("xen-hypervisor-{}-{architecture}", self.xen),
            format!("xen-utils-{}", self.xen),
            "xenstore-utils".into(),
            "busybox-static".into(),
            "e2fsprogs".into(),
        ]
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xen {} with Linux {} (Debian {})", self.xen, self.linux, self.suite)
    }
}

/// The version option's type: an index into [`RELEASES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XenVersion(usize);

impl XenVersion {
    /// The cell that this version names.
    pub(crate) fn release(self) -> &'static Release {
        &RELEASES[self.0]
    }
}

impl ValueEnum for XenVersion {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(0), Self(1), Self(2)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let release = self.release();
        Some(PossibleValue::new(release.xen).help(release.to_string()))
    }
}
