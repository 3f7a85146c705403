//! Properties of a domain that can be set, and mostly read.

use std::time::Duration;

#[cfg(target_arch = "x86_64")]
use xen_sys::VcpuId;
use xen_sys::xen_public::domctl::{
    AddressSize, GetAddressSize, GetNodeAffinity, GetPagingMempool, GetTscInfo, PagingMempool,
    SetAddressSize, SetDebugging, SetNodeAffinity, SetPagingMempool, SetTarget, SetTimeOffset, SetTscInfo,
    SetVirqHandler, TscInfoRecord,
};
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::{DomId, Virq};

use super::Domain;
#[cfg(target_arch = "x86_64")]
use super::DomainFlags;
use crate::Error;
use crate::bitmap::NodeMap;

/// How the processor's time stamp counter looks to a guest on x86.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TscMode {
    /// As it is if that is safe, emulated otherwise.
    Default,
    /// Always emulated, in nanoseconds or at the frequency given.
    AlwaysEmulate,
    /// Never emulated.
    NeverEmulate,
    /// A number that this crate does not know.
    Other(u32),
}

impl TscMode {
    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Default,
            1 => Self::AlwaysEmulate,
            2 => Self::NeverEmulate,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Default => 0,
            Self::AlwaysEmulate => 1,
            Self::NeverEmulate => 2,
            Self::Other(other) => other,
        }
    }
}

/// The time stamp counter of a domain on x86: what is carried over when it moves to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "xc_domain_tsc_info")]
pub struct TscInfo {
    /// Whether it is emulated.
    pub mode: TscMode,
    /// Its frequency, in kHz; 0 lets Xen choose.
    pub khz: u32,
    /// How often it was set: a guest can see from it that it has moved. Setting it adds one.
    pub incarnation: u32,
    /// The guest's age by this clock; 0 where it is not emulated.
    pub elapsed: Duration,
}

/// How long the addresses of a guest's kernel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuestWidth {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl Domain<'_> {
    /// The NUMA nodes that are preferred for the domain's memory.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_domain_node_getaffinity")]
    #[doc(alias = "XEN_DOMCTL_getnodeaffinity")]
    pub fn node_affinity(&self) -> Result<NodeMap, Error> {
        let mut map = self.xen.xencall().zeroed_buffer::<u8>(NODE_MAP_BYTES)?;
        self.xen.domctl(self.id, &GetNodeAffinity(map.lend()))?;
        Ok(NodeMap::from_bytes(&map))
    }

    /// Sets the NUMA nodes that are preferred for the domain's memory, and for its vCPUs as far as their soft affinity follows. Memory
    /// that it has already stays. All nodes of the host stand for no preference.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if none of the nodes is there.
    #[doc(alias = "xc_domain_node_setaffinity")]
    #[doc(alias = "XEN_DOMCTL_setnodeaffinity")]
    pub fn set_node_affinity(&self, nodes: &NodeMap) -> Result<(), Error> {
        let mut map = self.xen.xencall().buffer_from(&nodes.to_bytes())?;
        self.xen.domctl(self.id, &SetNodeAffinity(map.lend())).map(drop)
    }

    /// Sets by how many seconds the domain's clock is ahead of the host's.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_set_time_offset")]
    #[doc(alias = "XEN_DOMCTL_settimeoffset")]
    pub fn set_time_offset(&self, seconds: i64) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetTimeOffset { time_offset_seconds: seconds }).map(drop)
    }

    /// The domain's time stamp counter.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Refused`] with `EINVAL` for the
    /// caller's own domain.
    #[doc(alias = "xc_domain_get_tsc_info")]
    #[doc(alias = "XEN_DOMCTL_gettscinfo")]
    pub fn tsc_info(&self) -> Result<TscInfo, Error> {
        let record = self.xen.domctl(self.id, &GetTscInfo)?;
        Ok(TscInfo {
            mode: TscMode::from_number(record.tsc_mode),
            khz: record.gtsc_khz,
            incarnation: record.incarnation,
            elapsed: Duration::from_nanos(record.elapsed_nsec),
        })
    }

    /// Sets the domain's time stamp counter. The domain stands still meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Refused`] with `EINVAL` for the
    /// caller's own domain or an unknown mode.
    #[doc(alias = "xc_domain_set_tsc_info")]
    #[doc(alias = "XEN_DOMCTL_settscinfo")]
    pub fn set_tsc_info(&self, tsc: TscInfo) -> Result<(), Error> {
        let record = TscInfoRecord {
            tsc_mode: tsc.mode.number(),
            gtsc_khz: tsc.khz,
            incarnation: tsc.incarnation,
            pad: 0,
            elapsed_nsec: u64::try_from(tsc.elapsed.as_nanos()).unwrap_or(u64::MAX),
        };
        self.xen.domctl(self.id, &SetTscInfo(record)).map(drop)
    }

    /// Tells Xen whether a debugger is attached: the domain's debug exceptions then pause it, and raise
    /// [`Virq::DEBUGGER`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] where there is no debugging;
    /// [`Error::Refused`] with `EINVAL` for the caller's own domain.
    #[doc(alias = "xc_domain_setdebugging")]
    #[doc(alias = "XEN_DOMCTL_setdebugging")]
    pub fn set_debugging(&self, enable: bool) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetDebugging { enable: enable.into() }).map(drop)
    }

    /// Lets this domain control `target`, a domain that is not PV: what a device model in a domain of its own needs. Can be
    /// done once, and lasts.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`] for either; [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if it has a target, or would be
    /// its own; [`Error::Unsupported`] if `target` is PV.
    #[doc(alias = "xc_domain_set_target")]
    #[doc(alias = "XEN_DOMCTL_set_target")]
    pub fn set_target(&self, target: DomId) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetTarget { target: target.get() }).map(drop)
    }

    /// Sends a global virtual interrupt to this domain, instead of dom0, until the domain ends.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for one that is not global.
    #[doc(alias = "xc_domain_set_virq_handler")]
    #[doc(alias = "XEN_DOMCTL_set_virq_handler")]
    pub fn set_virq_handler(&self, virq: Virq) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetVirqHandler { virq: virq.get() }).map(drop)
    }

    /// How long the addresses of the guest's kernel are; of an HVM or PVH domain, what its first vCPU has at this moment. Two to
    /// four hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `ENODATA` for an HVM domain that has not begun;
    /// [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_get_guest_width")]
    #[doc(alias = "XEN_DOMCTL_get_address_size")]
    pub fn guest_width(&self) -> Result<GuestWidth, Error> {
        #[cfg(target_arch = "x86_64")]
        if self.info()?.flags.contains(DomainFlags::HVM_GUEST) {
            // Xen speaks of PV domains only
            const LONG_MODE: u64 = 1 << 10;
            let is_long = self.vcpu(VcpuId::new(0)).hvm_context()?.msr_efer & LONG_MODE != 0;
            return Ok(if is_long { GuestWidth::Bits64 } else { GuestWidth::Bits32 });
        }
        let record = self.xen.domctl(self.id, &GetAddressSize)?;
        Ok(if record.size == 32 { GuestWidth::Bits32 } else { GuestWidth::Bits64 })
    }

    /// Sets how long the addresses of the guest's kernel are, of a PV domain (or one on Arm) that has no memory yet.
    ///
    /// On Arm, after its vCPUs were made: Xen (4.17) does not tell those that are made later, and crashes when they begin. Before, it
    /// is refused here, which takes another hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`], also if it has memory; [`Error::Unsupported`] or [`Error::Refused`] with
    /// `EINVAL` if the host or the kind of domain cannot do it, or on Arm before it has vCPUs.
    #[doc(alias = "XEN_DOMCTL_set_address_size")]
    pub fn set_guest_width(&self, width: GuestWidth) -> Result<(), Error> {
        let size = match width {
            GuestWidth::Bits32 => 32,
            GuestWidth::Bits64 => 64,
        };
        if cfg!(target_arch = "aarch64") && self.info()?.max_vcpu.is_none() {
            return Err(Error::refused("XEN_DOMCTL_set_address_size", Some(self.id), EINVAL));
        }
        self.xen.domctl(self.id, &SetAddressSize(AddressSize { size })).map(drop)
    }

    /// The name of the layout of rings that frontends in this domain use unless they say otherwise, as xenstore has it in
    /// `protocol`. On Arm there is one for all.
    ///
    /// # Errors
    ///
    /// As [`Domain::guest_width`], on x86.
    #[doc(alias = "xc_domain_get_native_protocol")]
    pub fn native_protocol(&self) -> Result<&'static str, Error> {
        if cfg!(target_arch = "aarch64") {
            return Ok("arm-abi");
        }
        Ok(match self.guest_width()? {
            GuestWidth::Bits32 => "x86_32-abi",
            GuestWidth::Bits64 => "x86_64-abi",
        })
    }

    /// The memory that Xen has for the domain's page tables, in bytes. Xen 4.17+.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] before Xen 4.17, or for a PV domain that is not shadowed.
    #[doc(alias = "xc_get_paging_mempool_size")]
    #[doc(alias = "XEN_DOMCTL_get_paging_mempool_size")]
    pub fn paging_memory(&self) -> Result<u64, Error> {
        self.xen.require("XEN_DOMCTL_get_paging_mempool_size", 17)?;
        Ok(self.xen.domctl(self.id, &GetPagingMempool)?.size)
    }

    /// Sets the memory that Xen has for the domain's page tables: bytes, a multiple of 4096. Xen 4.17+.
    ///
    /// # Errors
    ///
    /// As [`Domain::paging_memory`]; [`Error::Refused`] with `EINVAL` for another number of bytes; with `ENOMEM`, when a part
    /// of it may have been done: [`paging_memory`](Self::paging_memory) tells.
    #[doc(alias = "xc_set_paging_mempool_size")]
    #[doc(alias = "XEN_DOMCTL_set_paging_mempool_size")]
    pub fn set_paging_memory(&self, bytes: u64) -> Result<(), Error> {
        self.xen.require("XEN_DOMCTL_set_paging_mempool_size", 17)?;
        self.xen.domctl(self.id, &SetPagingMempool(PagingMempool { size: bytes })).map(drop)
    }
}

/// Room for 1024 NUMA nodes, many more than Xen can be built for.
const NODE_MAP_BYTES: usize = 128;
