//! `hvm/params.h`: the parameters of a domain.

use crate::xen_public::constants;

/// A parameter of a domain (`HVM_PARAM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Param(pub u32);

constants! { impl Param:
    /// How the guest is told of events: a kind in the upper 8 bits, and a number; 0 if it is not.
    CALLBACK_IRQ = "HVM_PARAM_CALLBACK_IRQ" = 0;
    /// The frame of the ring to xenstore.
    STORE_PFN = "HVM_PARAM_STORE_PFN" = 1;
    /// The port of xenstore.
    STORE_EVTCHN = "HVM_PARAM_STORE_EVTCHN" = 2;
    /// Without a meaning.
    PAE_ENABLED = "HVM_PARAM_PAE_ENABLED" = 4;
    /// The frame of requests to a device model that does not make a server. Without a meaning since Xen 4.13.
    IOREQ_PFN = "HVM_PARAM_IOREQ_PFN" = 5;
    /// The frame of its buffered requests.
    BUFIOREQ_PFN = "HVM_PARAM_BUFIOREQ_PFN" = 6;
    /// Interfaces of Hyper-V that the guest sees: bits. x86 only.
    #[cfg(target_arch = "x86_64")]
    VIRIDIAN = "HVM_PARAM_VIRIDIAN" = 9;
    /// How timers behave that fired while the guest did not run, 0 to 3. x86 only.
    TIMER_MODE = "HVM_PARAM_TIMER_MODE" = 10;
    /// Whether there are high precision timers.
    HPET_ENABLED = "HVM_PARAM_HPET_ENABLED" = 11;
    /// The address of page tables that Xen uses on Intel processors while paging is off.
    IDENT_PT = "HVM_PARAM_IDENT_PT" = 12;
    /// Which domain is the device model. Without a meaning since Xen 4.13.
    DM_DOMAIN = "HVM_PARAM_DM_DOMAIN" = 13;
    /// The state of sleep: 0 or 3.
    ACPI_S_STATE = "HVM_PARAM_ACPI_S_STATE" = 14;
    /// The address of a task state segment that Xen uses on Intel processors in real mode.
    VM86_TSS = "HVM_PARAM_VM86_TSS" = 15;
    /// Whether periodic timers fire together.
    VPT_ALIGN = "HVM_PARAM_VPT_ALIGN" = 16;
    /// The frame of the console's ring.
    CONSOLE_PFN = "HVM_PARAM_CONSOLE_PFN" = 17;
    /// The port of the console.
    CONSOLE_EVTCHN = "HVM_PARAM_CONSOLE_EVTCHN" = 18;
    /// Where the ports for power management are: 0 or 1.
    ACPI_IOPORTS_LOCATION = "HVM_PARAM_ACPI_IOPORTS_LOCATION" = 19;
    /// Whether the guest can run a hypervisor. Xen 4.14; later it is chosen when the domain is created.
    NESTEDHVM = "HVM_PARAM_NESTEDHVM" = 24;
    /// The port for buffered requests. Without a meaning since Xen 4.13.
    BUFIOREQ_EVTCHN = "HVM_PARAM_BUFIOREQ_EVTCHN" = 26;
    /// The frame of the ring about paging.
    PAGING_RING_PFN = "HVM_PARAM_PAGING_RING_PFN" = 27;
    /// The frame of the ring about what is watched.
    MONITOR_RING_PFN = "HVM_PARAM_MONITOR_RING_PFN" = 28;
    /// The frame of the ring about shared memory.
    SHARING_RING_PFN = "HVM_PARAM_SHARING_RING_PFN" = 29;
    /// What a triple fault is: a reason for a shutdown.
    TRIPLE_FAULT_REASON = "HVM_PARAM_TRIPLE_FAULT_REASON" = 31;
    /// The first frame that servers of requests may use.
    IOREQ_SERVER_PFN = "HVM_PARAM_IOREQ_SERVER_PFN" = 32;
    /// How many these are.
    NR_IOREQ_SERVER_PAGES = "HVM_PARAM_NR_IOREQ_SERVER_PAGES" = 33;
    /// The address of the number by which a guest sees that it was restored.
    VM_GENERATION_ID_ADDR = "HVM_PARAM_VM_GENERATION_ID_ADDR" = 34;
    /// Who switches between alternate views of the memory, 0 to 3.
    ALTP2M = "HVM_PARAM_ALTP2M" = 35;
    /// How many bytes of the addresses of floating point instructions are saved: 8, 4, or 0 for what fits.
    X87_FIP_WIDTH = "HVM_PARAM_X87_FIP_WIDTH" = 36;
    /// As `VM86_TSS`, with the size in the upper 32 bits.
    VM86_TSS_SIZED = "HVM_PARAM_VM86_TSS_SIZED" = 37;
    /// What the guest sees of machine checks: bits.
    MCA_CAP = "HVM_PARAM_MCA_CAP" = 38;
}
