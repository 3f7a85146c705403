//! `xen/include/public/version.h`: what every domain may ask about the hypervisor.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::layout;
use super::operation::{HypercallNumber, Operation};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `XENVER_version`: the result is the major version times 65536, and the minor version.
#[derive(Clone, Copy, Debug)]
pub struct Version;

/// `XENVER_pagesize`: the result is Xen's page size, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct PageSize;

macro_rules! plain {
    ($operation:ty, $name:literal = $command:literal) => {
        // SAFETY: `xen_version` with this command ignores its second argument.
        unsafe impl Operation for $operation {
            const NUMBER: HypercallNumber = HypercallNumber::XEN_VERSION;
            const NAME: &'static str = $name;
            type Record = ();

            fn record(&self) {}

            fn arguments(&self, _record: u64) -> [u64; 5] {
                [$command, 0, 0, 0, 0]
            }
        }
    };
}
plain!(Version, "XENVER_version" = 0);
plain!(PageSize, "XENVER_pagesize" = 7);

/// `XENVER_extraversion` (`xen_extraversion_t`): what follows the minor version, with a NUL.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExtraVersion(pub [u8; 16]);
layout!(ExtraVersion = "xen_extraversion_t", 16);

/// `XENVER_compile_info` (`struct xen_compile_info`): strings with NULs.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_compile_info")]
pub struct CompileInfo {
    /// The compiler and its version.
    pub compiler: [u8; 64],
    /// Who compiled.
    pub compile_by: [u8; 16],
    /// The domain name of the machine.
    pub compile_domain: [u8; 32],
    /// When.
    pub compile_date: [u8; 32],
}
layout!(
    CompileInfo = "struct xen_compile_info", 144, compiler @ 0, compile_by @ 64, compile_domain @ 80,
    compile_date @ 112,
);

/// `XENVER_capabilities` (`xen_capabilities_info_t`): the kinds of guest, with a NUL.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Capabilities(pub [u8; 1024]);
layout!(Capabilities = "xen_capabilities_info_t", 1024);

/// `XENVER_changeset` (`xen_changeset_info_t`), with a NUL.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Changeset(pub [u8; 64]);
layout!(Changeset = "xen_changeset_info_t", 64);

/// `XENVER_platform_parameters` (`struct xen_platform_parameters`)
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_platform_parameters")]
pub struct PlatformParameters {
    /// Where Xen's own address space begins, for PV guests.
    pub virt_start: u64,
}
layout!(PlatformParameters = "struct xen_platform_parameters", 8, virt_start @ 0);

/// `XENVER_get_features` (`struct xen_feature_info`): 32 of the features.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_feature_info")]
pub struct FeatureInfo {
    /// Which 32.
    pub submap_idx: u32,
    /// Answer: a bit for each.
    pub submap: u32,
}
layout!(FeatureInfo = "struct xen_feature_info", 8, submap_idx @ 0, submap @ 4);

/// `XENVER_guest_handle` (`xen_domain_handle_t`): the caller's UUID.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GuestHandle(pub [u8; 16]);
layout!(GuestHandle = "xen_domain_handle_t", 16);

/// `XENVER_commandline` (`xen_commandline_t`): Xen's command line, with a NUL.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CommandLine(pub [u8; 1024]);
layout!(CommandLine = "xen_commandline_t", 1024);

macro_rules! whole_record {
    ($record:ty, $name:literal = $command:literal) => {
        // SAFETY: `xen_version` with this command reads and writes one such record, of exactly this size.
        unsafe impl Operation for $record {
            const NUMBER: HypercallNumber = HypercallNumber::XEN_VERSION;
            const NAME: &'static str = $name;
            type Record = Self;

            fn record(&self) -> Self {
                *self
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}
whole_record!(ExtraVersion, "XENVER_extraversion" = 1);
whole_record!(CompileInfo, "XENVER_compile_info" = 2);
whole_record!(Capabilities, "XENVER_capabilities" = 3);
whole_record!(Changeset, "XENVER_changeset" = 4);
whole_record!(PlatformParameters, "XENVER_platform_parameters" = 5);
whole_record!(FeatureInfo, "XENVER_get_features" = 6);
whole_record!(GuestHandle, "XENVER_guest_handle" = 8);
whole_record!(CommandLine, "XENVER_commandline" = 9);

/// How many bytes a [`VarBuf`] holds: more than any hypervisor has to say.
pub const VAR_BUF_BYTES: usize = 2044;

/// `struct xen_varbuf`, also `struct xen_build_id`: bytes with their length in front.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_varbuf")]
#[doc(alias = "xen_build_id")]
pub struct VarBuf {
    /// How many bytes there may be.
    pub len: u32,
    /// The bytes; how many, the result of the call tells.
    pub buf: [u8; VAR_BUF_BYTES],
}
layout!(VarBuf = "struct xen_build_id" extended, 2048, len @ 0, buf @ 4);
layout!(VarBuf = "struct xen_varbuf" extended, 2048, len @ 0, buf @ 4);

/// The commands that fill a [`VarBuf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillVarBuf(u64);

impl FillVarBuf {
    /// `XENVER_build_id`: the linker's hash of the hypervisor.
    #[doc(alias = "XENVER_build_id")]
    pub const BUILD_ID: Self = Self(10);
    /// `XENVER_extraversion2` (Xen 4.20+), without a NUL, as all from here on.
    #[doc(alias = "XENVER_extraversion2")]
    pub const EXTRA_VERSION: Self = Self(11);
    /// `XENVER_capabilities2` (Xen 4.20+)
    #[doc(alias = "XENVER_capabilities2")]
    pub const CAPABILITIES: Self = Self(12);
    /// `XENVER_changeset2` (Xen 4.20+)
    #[doc(alias = "XENVER_changeset2")]
    pub const CHANGESET: Self = Self(13);
    /// `XENVER_commandline2` (Xen 4.20+)
    #[doc(alias = "XENVER_commandline2")]
    pub const COMMAND_LINE: Self = Self(14);
}

// SAFETY: Xen reads the length, which is the room there is, and writes the record.
unsafe impl Operation for FillVarBuf {
    const NUMBER: HypercallNumber = HypercallNumber::XEN_VERSION;
    const NAME: &'static str = "XENVER_build_id, or a version string";
    type Record = VarBuf;

    fn record(&self) -> VarBuf {
        #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
        VarBuf { len: VAR_BUF_BYTES as u32, ..VarBuf::new_zeroed() }
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [self.0, record, 0, 0, 0]
    }
}
