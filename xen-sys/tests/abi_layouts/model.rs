//! What is asked, of whom, and what Rust says about it.

use std::fmt;
use std::str::FromStr;

/// An architecture, by Debian's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// As in `cfg(target_arch)`.
    pub(crate) fn rust(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// A hypervisor's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    pub(crate) const MIN: Self = Self(0, 0);
    pub(crate) const MAX: Self = Self(u32::MAX, u32::MAX);
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (major, minor) = text.split_once('.').unwrap_or((text, ""));
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) => Ok(Self(major, minor)),
            _ => Err(format!("`{text}` is not a version such as 4.17")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Where a claim holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) first: Version,
    pub(crate) last: Version,
    /// `None` for both.
    pub(crate) architecture: Option<Architecture>,
}

impl Scope {
    pub(crate) fn covers(&self, version: Version, architecture: Architecture) -> bool {
        (self.first..=self.last).contains(&version) && self.architecture.is_none_or(|it| it == architecture)
    }
}

/// A type of C: `struct gnttab_copy`, or one of its members, `struct gnttab_copy.source.u`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CType {
    pub(crate) base: String,
    /// The path to the member, empty for the type itself.
    pub(crate) path: String,
}

impl CType {
    pub(crate) fn new(text: &str) -> Self {
        let (base, path) = text.split_once('.').unwrap_or((text, ""));
        Self { base: base.into(), path: path.into() }
    }

    /// The path from the base to a member of this.
    pub(crate) fn member(&self, member: &str) -> String {
        if self.path.is_empty() { member.into() } else { format!("{}.{member}", self.path) }
    }
}

impl fmt::Display for CType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, ".{}", self.path) }
    }
}

/// A question to C.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// The size of a type.
    Size(CType),
    /// Where in a type its member is.
    Offset(CType, String),
    /// The size of a member.
    Width(CType, String),
    /// The value of a constant.
    Value(String),
}

impl Question {
    /// The type that it is about.
    pub(crate) fn c_type(&self) -> Option<&CType> {
        match self {
            Self::Size(c_type) | Self::Offset(c_type, _) | Self::Width(c_type, _) => Some(c_type),
            Self::Value(_) => None,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(c_type) => write!(f, "size of {c_type}"),
            Self::Offset(c_type, member) => write!(f, "offset of {member} in {c_type}"),
            Self::Width(c_type, member) => write!(f, "size of {member} in {c_type}"),
            Self::Value(name) => write!(f, "value of {name}"),
        }
    }
}

/// What Rust says, to be confirmed by C.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// File and item.
    pub(crate) place: String,
    /// Names that C has, or had, for it; those that an oracle knows must agree.
    pub(crate) questions: Vec<Question>,
    pub(crate) value: i128,
    /// Whether Rust's number may be greater.
    pub(crate) or_more: bool,
    pub(crate) scope: Scope,
}
