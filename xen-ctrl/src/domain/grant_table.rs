//! The grant table of a domain.

use std::io;

use xen_sys::xen_public::errno::{EAGAIN, EINVAL, ENOSPC, EPERM};
use xen_sys::xen_public::grant_table::{GetGrantTableVersion, QueryGrantTableSize, SetupGrantTable};
use xen_sys::{Gfn, GrantStatus};

use super::Domain;
use crate::Error;

/// The version of a grant table, which says what its entries look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GrantVersion {
    /// Entries of 8 bytes, with frame numbers of 32 bits.
    V1,
    /// Entries of 16 bytes, and their status in other frames.
    V2,
    /// A number that this crate does not know.
    Other(u32),
}

impl GrantVersion {
    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::V1,
            2 => Self::V2,
            other => Self::Other(other),
        }
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::Other(other) => other,
        }
    }
}

/// How large a grant table is, in frames of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantTableSize {
    /// How many frames it has.
    pub frames: u32,
    /// How many it can have.
    pub max_frames: u32,
}

/// To look into the table: `ForeignMemory::map_resource` of the crate `xen-foreignmem` maps it, whatever kind of domain it is
/// and whether or not the guest has set it up (Linux 4.18+). The frames that
/// [`grant_table_frames`](Self::grant_table_frames) tells can be mapped by `ForeignMemory::map`, which is the old way.
impl Domain<'_> {
    /// The version of the domain's grant table.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_gnttab_get_version")]
    #[doc(alias = "GNTTABOP_get_version")]
    pub fn grant_version(&self) -> Result<GrantVersion, Error> {
        let record = GetGrantTableVersion { dom: self.id.get(), pad: 0, version: 0 };
        let answer = self.xen.call(Some(self.id), &record)?;
        Ok(GrantVersion::from_number(answer.record.version))
    }

    /// How large the domain's grant table is, and can become.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_gnttab_query_size")]
    #[doc(alias = "GNTTABOP_query_size")]
    pub fn grant_table_size(&self) -> Result<GrantTableSize, Error> {
        let record = QueryGrantTableSize {
            dom: self.id.get(),
            pad: 0,
            nr_frames: 0,
            max_nr_frames: 0,
            status: GrantStatus::OKAY,
            pad2: 0,
        };
        let answer = self.xen.call(Some(self.id), &record)?.record;
        self.grant_result("GNTTABOP_query_size", answer.status)?;
        Ok(GrantTableSize { frames: answer.nr_frames, max_frames: answer.max_nr_frames })
    }

    /// Makes the domain's grant table at least `count` frames large, and gives the first `count` of its frames, as the domain
    /// numbers them. On Arm, and where a guest has not mapped its table, that is no frame that can be used.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for more than it can have, or if there is no
    /// memory; [`Error::Call`].
    #[doc(alias = "xc_gnttab_map_table_v1")]
    #[doc(alias = "xc_gnttab_map_table_v2")]
    #[doc(alias = "GNTTABOP_setup_table")]
    pub fn grant_table_frames(&self, count: usize) -> Result<Vec<Gfn>, Error> {
        let mut frames = self.xen.xencall().zeroed_buffer::<Gfn>(count)?;
        let answer =
            self.xen.call(Some(self.id), &SetupGrantTable { domain: self.id, into: frames.lend() })?;
        self.grant_result("GNTTABOP_setup_table", answer.record.status)?;
        Ok(frames.to_vec())
    }

    /// The status of an operation as an error: as the error number that Xen uses elsewhere.
    fn grant_result(&self, operation: &'static str, status: GrantStatus) -> Result<(), Error> {
        let domain = Some(self.id);
        let refused = |errno| Error::refused(operation, domain, errno);
        Err(match status {
            GrantStatus::OKAY => return Ok(()),
            GrantStatus::BAD_DOMAIN => Error::NoSuchDomain { operation, domain: self.id },
            GrantStatus::PERMISSION_DENIED => {
                Error::Denied { operation, domain, source: io::Error::from_raw_os_error(EPERM) }
            }
            GrantStatus::NO_SPACE => refused(ENOSPC),
            GrantStatus::EAGAIN => refused(EAGAIN),
            _ => refused(EINVAL),
        })
    }
}
