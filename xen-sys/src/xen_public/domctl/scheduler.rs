//! What schedulers know of a domain.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use core::marker::PhantomData;

use super::Domctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// The credit scheduler.
    SCHEDULER_CREDIT = "XEN_SCHEDULER_CREDIT" = 5;
    /// The credit2 scheduler, Xen's default.
    SCHEDULER_CREDIT2 = "XEN_SCHEDULER_CREDIT2" = 6;
    /// Fixed time slots after the avionics standard ARINC 653.
    SCHEDULER_ARINC653 = "XEN_SCHEDULER_ARINC653" = 7;
    /// Real time with deferrable servers.
    SCHEDULER_RTDS = "XEN_SCHEDULER_RTDS" = 8;
    /// A CPU for each vCPU.
    SCHEDULER_NULL = "XEN_SCHEDULER_NULL" = 9;
    /// Sets the parameters of the domain.
    DOMAIN_SCHEDOP_PUTINFO = "XEN_DOMCTL_SCHEDOP_putinfo" = 0;
    /// Reads the parameters of the domain.
    DOMAIN_SCHEDOP_GETINFO = "XEN_DOMCTL_SCHEDOP_getinfo" = 1;
    /// Sets the parameters of some vCPUs.
    DOMAIN_SCHEDOP_PUTVCPUINFO = "XEN_DOMCTL_SCHEDOP_putvcpuinfo" = 2;
    /// Reads the parameters of some vCPUs.
    DOMAIN_SCHEDOP_GETVCPUINFO = "XEN_DOMCTL_SCHEDOP_getvcpuinfo" = 3;
    /// A vCPU can use time that is left, when its budget is spent.
    SCHEDRT_EXTRA = "XEN_DOMCTL_SCHEDRT_extra" = 1 << 0;
}

/// `struct xen_domctl_scheduler_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_scheduler_op")]
pub struct DomainSchedulerRecord {
    /// `SCHEDULER_*`: the one that the caller takes the domain to have.
    pub sched_id: u32,
    /// `DOMAIN_SCHEDOP_*`
    pub cmd: u32,
    /// The scheduler's parameters.
    pub u: [u8; 16],
}
layout!(DomainSchedulerRecord = "struct xen_domctl_scheduler_op", 24, sched_id @ 0, cmd @ 4, u @ 8);

/// `struct xen_domctl_sched_credit`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_sched_credit")]
pub struct DomainCredit {
    /// The domain's share compared with others.
    pub weight: u16,
    /// The most it gets, in percent of one CPU; 0 for all.
    pub cap: u16,
}
layout!(DomainCredit = "struct xen_domctl_sched_credit", 4, weight @ 0, cap @ 2);

/// `struct xen_domctl_sched_credit2`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_sched_credit2")]
pub struct DomainCredit2 {
    /// The domain's share compared with others.
    pub weight: u16,
    /// The most it gets, in percent of one CPU; 0 for all.
    pub cap: u16,
}
layout!(DomainCredit2 = "struct xen_domctl_sched_credit2", 4, weight @ 0, cap @ 2);

/// `struct xen_domctl_sched_rtds`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_sched_rtds")]
pub struct DomainRtds {
    /// In microseconds.
    pub period: u32,
    /// How long a vCPU runs in each period, in microseconds.
    pub budget: u32,
    /// `SCHEDRT_*`
    pub flags: u32,
}
layout!(DomainRtds = "struct xen_domctl_sched_rtds", 12, period @ 0, budget @ 4, flags @ 8);

/// `struct xen_domctl_schedparam_vcpu` of the rtds scheduler, the only one that has parameters for each vCPU.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_schedparam_vcpu")]
pub struct VcpuRtds {
    /// The parameters.
    pub rtds: DomainRtds,
    /// Which vCPU.
    pub vcpuid: u32,
}
layout!(VcpuRtds = "struct xen_domctl_schedparam_vcpu", 16, rtds("u.rtds") @ 0, vcpuid @ 12);

/// What a scheduler knows of a domain.
///
/// # Safety
///
/// In the union of [`DomainSchedulerRecord`], the scheduler has exactly these parameters, and none of them is an address.
pub unsafe trait DomainParameters: Copy + FromBytes + IntoBytes + Immutable {
    /// `SCHEDULER_*`
    const SCHEDULER: u32;
}

// SAFETY: integers, as the header says.
unsafe impl DomainParameters for DomainCredit {
    const SCHEDULER: u32 = SCHEDULER_CREDIT;
}

// SAFETY: integers, as the header says.
unsafe impl DomainParameters for DomainCredit2 {
    const SCHEDULER: u32 = SCHEDULER_CREDIT2;
}

// SAFETY: integers, as the header says.
unsafe impl DomainParameters for DomainRtds {
    const SCHEDULER: u32 = SCHEDULER_RTDS;
}

impl DomainSchedulerRecord {
    /// The scheduler's parameters.
    #[must_use]
    pub fn parameters<P: DomainParameters>(&self) -> P {
        const { assert!(size_of::<P>() <= 16) };
        P::read_from_prefix(&self.u).map_or_else(|_| P::new_zeroed(), |(parameters, _)| parameters)
    }

    fn new<P: DomainParameters>(cmd: u32, parameters: &P) -> Self {
        const { assert!(size_of::<P>() <= 16) };
        let mut u = [0; 16];
        u[..size_of::<P>()].copy_from_slice(parameters.as_bytes());
        Self { sched_id: P::SCHEDULER, cmd, u }
    }
}

/// Reads the parameters of a domain; with the rtds scheduler, those that its vCPUs begin with.
#[derive(Clone, Copy, Debug)]
pub struct GetDomainParameters<P>(PhantomData<P>);

impl<P> Default for GetDomainParameters<P> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

// SAFETY: Xen follows no address, as `P` vouches for.
unsafe impl<P: DomainParameters> Domctl for GetDomainParameters<P> {
    const COMMAND: Command = command!("XEN_DOMCTL_scheduler_op" = 16);
    type Record = DomainSchedulerRecord;

    fn record(&self) -> DomainSchedulerRecord {
        DomainSchedulerRecord::new(DOMAIN_SCHEDOP_GETINFO, &P::new_zeroed())
    }
}

/// Sets the parameters of a domain and of all its vCPUs.
#[derive(Clone, Copy, Debug)]
pub struct SetDomainParameters<P>(pub P);

// SAFETY: Xen follows no address, as `P` vouches for.
unsafe impl<P: DomainParameters> Domctl for SetDomainParameters<P> {
    const COMMAND: Command = command!("XEN_DOMCTL_scheduler_op" = 16);
    type Record = DomainSchedulerRecord;

    fn record(&self) -> DomainSchedulerRecord {
        DomainSchedulerRecord::new(DOMAIN_SCHEDOP_PUTINFO, &self.0)
    }
}

/// The list of vCPUs in the union of [`DomainSchedulerRecord`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VcpuList {
    /// Address of the first one.
    pub vcpus: u64,
    /// How many there are; answer: how many were looked at.
    pub nr_vcpus: u32,
    /// Zero.
    pub padding: u32,
}
layout!(VcpuList = "struct xen_domctl_scheduler_op.u.v", 16, vcpus @ 0, nr_vcpus @ 8, padding @ 12);

/// Sets or reads the parameters of single vCPUs, of the rtds scheduler.
#[derive(Debug)]
pub struct VcpuParameters<'a> {
    /// Whether they are set.
    pub set: bool,
    /// A list of [`VcpuRtds`], in which `vcpuid` tells which ones are meant.
    pub vcpus: GuestMemory<'a>,
}

// SAFETY: Xen reads and writes at most `nr_vcpus` elements, which is how many there are in the memory.
unsafe impl Domctl for VcpuParameters<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_scheduler_op" = 16);
    type Record = DomainSchedulerRecord;

    fn record(&self) -> DomainSchedulerRecord {
        let nr_vcpus = self.vcpus.room::<VcpuRtds>();
        let list = VcpuList { vcpus: self.vcpus.address(), nr_vcpus, padding: 0 };
        let cmd = if self.set { DOMAIN_SCHEDOP_PUTVCPUINFO } else { DOMAIN_SCHEDOP_GETVCPUINFO };
        DomainSchedulerRecord { sched_id: SCHEDULER_RTDS, cmd, u: zerocopy::transmute!(list) }
    }
}

impl DomainSchedulerRecord {
    /// How many vCPUs of the list Xen has looked at.
    #[must_use]
    pub fn vcpus_done(&self) -> u32 {
        let list: VcpuList = zerocopy::transmute!(self.u);
        list.nr_vcpus
    }
}
