//! What is known of a domain.

use std::fmt;
use std::time::Duration;

use bitflags::bitflags;
use xen_sys::DomId;
use xen_sys::xen_public::domctl::{self, DomainInfo414, DomainInfo416, DomainInfoRecord};
use xen_sys::zerocopy::FromZeros;

use super::Domain;
use crate::Error;

bitflags! {
    /// The state of a domain, and what kind it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DomainFlags: u32 {
        /// It is being destroyed; its resources are being freed.
        const DYING = domctl::DOMINF_DYING;
        /// It is HVM or PVH, on Arm always.
        const HVM_GUEST = domctl::DOMINF_HVM_GUEST;
        /// It has shut down; see [`DomainInfo::shutdown_reason`].
        const SHUTDOWN = domctl::DOMINF_SHUTDOWN;
        /// A toolstack has paused it.
        const PAUSED = domctl::DOMINF_PAUSED;
        /// All of its vCPUs wait for events.
        const BLOCKED = domctl::DOMINF_BLOCKED;
        /// One of its vCPUs is running.
        const RUNNING = domctl::DOMINF_RUNNING;
        /// A debugger holds it.
        const DEBUGGED = domctl::DOMINF_DEBUGGED;
        /// It runs xenstore.
        const XS_DOMAIN = domctl::DOMINF_XS_DOMAIN;
        /// It uses hardware-assisted paging.
        const HAP = domctl::DOMINF_HAP;
    }
}

/// Why a domain has shut down (`SHUTDOWN_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShutdownReason {
    /// It powered itself off.
    #[doc(alias = "SHUTDOWN_poweroff")]
    PowerOff,
    /// It wants to be started again.
    #[doc(alias = "SHUTDOWN_reboot")]
    Reboot,
    /// It wants to be saved.
    #[doc(alias = "SHUTDOWN_suspend")]
    Suspend,
    /// It crashed.
    #[doc(alias = "SHUTDOWN_crash")]
    Crash,
    /// Its watchdog was not fed.
    #[doc(alias = "SHUTDOWN_watchdog")]
    Watchdog,
    /// It wants to be started again without being created anew.
    #[doc(alias = "SHUTDOWN_soft_reset")]
    SoftReset,
    /// A number that this crate does not know.
    Other(u8),
}

impl ShutdownReason {
    /// The reason that Xen means by this number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::PowerOff,
            1 => Self::Reboot,
            2 => Self::Suspend,
            3 => Self::Crash,
            4 => Self::Watchdog,
            5 => Self::SoftReset,
            other => Self::Other(other),
        }
    }

    /// Xen's number for it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Reboot => 1,
            Self::Suspend => 2,
            Self::Crash => 3,
            Self::Watchdog => 4,
            Self::SoftReset => 5,
            Self::Other(other) => other,
        }
    }
}

/// A UUID, which toolstacks give to domains. Displayed as usual, in groups of hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "xen_domain_handle_t")]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&index) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What is known of a domain, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_dominfo_t")]
#[doc(alias = "xc_domaininfo_t")]
pub struct DomainInfo {
    /// Its number.
    pub id: DomId,
    /// Its state and kind.
    pub flags: DomainFlags,
    /// Why it has shut down, if it has.
    pub shutdown_reason: Option<ShutdownReason>,
    /// Its UUID.
    pub uuid: Uuid,
    /// Memory that it has, in pages of 4 KiB.
    #[doc(alias = "xc_get_tot_pages")]
    pub pages: u64,
    /// How many pages it may have.
    pub max_pages: u64,
    /// How many pages are claimed for it, and not given to it yet.
    pub outstanding_pages: u64,
    /// How many pages it shares with others.
    pub shared_pages: u64,
    /// How many of its pages are paged out.
    pub paged_pages: u64,
    /// The machine frame of its shared information page; what Xen gives for domains without one is not a frame.
    pub shared_info_frame: u64,
    /// Processor time that all of its vCPUs have used.
    pub cpu_time: Duration,
    /// How many of its vCPUs are on.
    pub online_vcpus: u32,
    /// The highest number of a vCPU; `None` before the domain has any.
    pub max_vcpu: Option<u32>,
    /// Its security label.
    pub ssidref: u32,
    /// The cpupool that it runs in; `None` while it is in none, which is when it is dying.
    pub cpupool: Option<u32>,
    /// How many bits its physical addresses have (Xen 4.16+).
    pub gpaddr_bits: Option<u8>,
}

/// What Xen says for "none" of vCPUs and cpupools.
const NONE: u32 = u32::MAX;

impl DomainInfo {
    /// Reads a record; `None` if it is of no ordinary domain.
    pub(super) fn from_record<R: DomainInfoRecord>(record: &R) -> Option<Self> {
        let head = record.head();
        let flags = DomainFlags::from_bits_truncate(head.flags);
        let reason = (head.flags >> domctl::DOMINF_SHUTDOWN_SHIFT) & domctl::DOMINF_SHUTDOWN_MASK;
        let reason = ShutdownReason::from_number(u8::try_from(reason).unwrap_or(u8::MAX));
        Some(Self {
            id: DomId::new(head.domain)?,
            flags,
            shutdown_reason: flags.contains(DomainFlags::SHUTDOWN).then_some(reason),
            uuid: Uuid(head.handle),
            pages: head.tot_pages,
            max_pages: head.max_pages,
            outstanding_pages: head.outstanding_pages,
            shared_pages: head.shr_pages,
            paged_pages: head.paged_pages,
            shared_info_frame: head.shared_info_frame,
            cpu_time: Duration::from_nanos(head.cpu_time),
            online_vcpus: head.nr_online_vcpus,
            max_vcpu: (head.max_vcpu_id != NONE).then_some(head.max_vcpu_id),
            ssidref: head.ssidref,
            cpupool: (head.cpupool != NONE).then_some(head.cpupool),
            gpaddr_bits: record.gpaddr_bits(),
        })
    }
}

impl Domain<'_> {
    /// What is known of the domain. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_getinfo")]
    #[doc(alias = "xc_domain_getinfo_single")]
    #[doc(alias = "XEN_DOMCTL_getdomaininfo")]
    pub fn info(&self) -> Result<DomainInfo, Error> {
        if self.xen.is_at_least(16) {
            self.read_info::<DomainInfo416>()
        } else {
            self.read_info::<DomainInfo414>()
        }
    }

    fn read_info<R: DomainInfoRecord + FromZeros>(&self) -> Result<DomainInfo, Error> {
        let record = self.xen.domctl(self.id, &R::new_zeroed())?;
        // before Xen 4.18, a number that is not used gives the next domain
        DomainInfo::from_record(&record)
            .filter(|info| info.id == self.id)
            .ok_or(Error::NoSuchDomain { operation: R::COMMAND.name, domain: self.id })
    }
}
