//! CPUs that are on and off, and how deep they sleep.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::sysctl;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Switch a CPU on.
    CPU_HOTPLUG_ONLINE = "XEN_SYSCTL_CPU_HOTPLUG_ONLINE" = 0;
    /// Switch a CPU off.
    CPU_HOTPLUG_OFFLINE = "XEN_SYSCTL_CPU_HOTPLUG_OFFLINE" = 1;
    /// Switch on the second threads of all cores.
    CPU_HOTPLUG_SMT_ENABLE = "XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE" = 2;
    /// Switch off the second threads of all cores.
    CPU_HOTPLUG_SMT_DISABLE = "XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE" = 3;

    /// Let the scheduler fill cores before it takes others, or not.
    PM_OP_SET_SCHED_OPT_SMT = "XEN_SYSCTL_pm_op_set_sched_opt_smt" = 0x21;
    /// Ask for the deepest C-state.
    PM_OP_GET_MAX_CSTATE = "XEN_SYSCTL_pm_op_get_max_cstate" = 0x22;
    /// Set the deepest C-state.
    PM_OP_SET_MAX_CSTATE = "XEN_SYSCTL_pm_op_set_max_cstate" = 0x23;
    /// Any C-state.
    CX_UNLIMITED = "XEN_SYSCTL_CX_UNLIMITED" = 0xffff_ffff;
}

/// `struct xen_sysctl_cpu_hotplug`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cpu_hotplug")]
pub struct CpuHotplug {
    /// Which CPU.
    pub cpu: u32,
    /// `CPU_HOTPLUG_*`
    pub op: u32,
}
layout!(CpuHotplug = "struct xen_sysctl_cpu_hotplug", 8, cpu @ 0, op @ 4);
sysctl!(CpuHotplug, "XEN_SYSCTL_cpu_hotplug" = 11);

/// `struct xen_sysctl_pm_op`, for operations on one number.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_pm_op")]
pub struct PowerManagement {
    cmd: u32,
    cpuid: u32,
    value: u32,
    pad: [u32; 29],
}
layout!(PowerManagement = "struct xen_sysctl_pm_op", 128, cmd @ 0, cpuid @ 4, value("u.set_max_cstate") @ 8);
sysctl!(PowerManagement, "XEN_SYSCTL_pm_op" = 12);

impl PowerManagement {
    fn new(cmd: u32, cpuid: u32, value: u32) -> Self {
        Self { cmd, cpuid, value, pad: [0; 29] }
    }

    /// Asks for the deepest C-state, or the deepest sub-state of that.
    #[must_use]
    pub fn max_cstate(sub_state: bool) -> Self {
        Self::new(PM_OP_GET_MAX_CSTATE, sub_state.into(), 0)
    }

    /// Sets the deepest C-state, or the deepest sub-state of that; [`CX_UNLIMITED`] for any.
    #[must_use]
    pub fn set_max_cstate(sub_state: bool, limit: u32) -> Self {
        Self::new(PM_OP_SET_MAX_CSTATE, sub_state.into(), limit)
    }

    /// Sets whether the scheduler fills cores before it takes others. Answer: whether it did until now.
    #[must_use]
    pub fn set_smt_power_savings(wanted: bool) -> Self {
        Self::new(PM_OP_SET_SCHED_OPT_SMT, 0, wanted.into())
    }

    /// The number in the answer.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.value
    }
}
