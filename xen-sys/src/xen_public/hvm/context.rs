//! `hvm/save.h`: the state of a domain's virtual hardware as a whole.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::HvmContextRecord;
#[cfg(target_arch = "x86_64")]
use crate::xen_public::constants;
use crate::xen_public::domctl::Domctl;
use crate::xen_public::operation::{Command, GuestMemory, command};

/// What kind of record it is (`HVM_SAVE_CODE`); 0 for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveCode(pub u16);

#[cfg(target_arch = "x86_64")]
constants! { impl SaveCode:
    /// Of which hypervisor and processor the state is: the first one.
    HEADER = "HVM_SAVE_CODE(HEADER)" = 1;
    /// The registers of a vCPU.
    CPU = "HVM_SAVE_CODE(CPU)" = 2;
    /// One of the two old interrupt controllers.
    PIC = "HVM_SAVE_CODE(PIC)" = 3;
    /// The interrupt controller of buses.
    IOAPIC = "HVM_SAVE_CODE(IOAPIC)" = 4;
    /// The interrupt controller of a vCPU.
    LAPIC = "HVM_SAVE_CODE(LAPIC)" = 5;
    /// Its registers.
    LAPIC_REGS = "HVM_SAVE_CODE(LAPIC_REGS)" = 6;
    /// The levels of PCI's interrupt pins.
    PCI_IRQ = "HVM_SAVE_CODE(PCI_IRQ)" = 7;
    /// The levels of ISA's interrupt lines.
    ISA_IRQ = "HVM_SAVE_CODE(ISA_IRQ)" = 8;
    /// Where the four PCI links lead.
    PCI_LINK = "HVM_SAVE_CODE(PCI_LINK)" = 9;
    /// The old timer.
    PIT = "HVM_SAVE_CODE(PIT)" = 10;
    /// The clock.
    RTC = "HVM_SAVE_CODE(RTC)" = 11;
    /// High precision timers.
    HPET = "HVM_SAVE_CODE(HPET)" = 12;
    /// The timer of power management.
    PMTIMER = "HVM_SAVE_CODE(PMTIMER)" = 13;
    /// How a vCPU caches memory.
    MTRR = "HVM_SAVE_CODE(MTRR)" = 14;
    /// Interfaces of Hyper-V, of the domain.
    VIRIDIAN_DOMAIN = "HVM_SAVE_CODE(VIRIDIAN_DOMAIN)" = 15;
    /// The extended registers of a vCPU.
    CPU_XSAVE = "CPU_XSAVE_CODE" = 16;
    /// Interfaces of Hyper-V, of a vCPU.
    VIRIDIAN_VCPU = "HVM_SAVE_CODE(VIRIDIAN_VCPU)" = 17;
    /// Machine checks of a vCPU.
    VMCE_VCPU = "HVM_SAVE_CODE(VMCE_VCPU)" = 18;
    /// How a vCPU's time stamp counter was adjusted.
    TSC_ADJUST = "HVM_SAVE_CODE(TSC_ADJUST)" = 19;
    /// Model-specific registers of a vCPU.
    CPU_MSR = "CPU_MSR_CODE" = 20;
}

/// Reads the state of the virtual hardware: records with a descriptor in front of each.
#[derive(Debug)]
pub struct GetHvmContext<'a>(
    /// Where to; [`GuestMemory::NULL`] asks for the size.
    pub GuestMemory<'a>,
);

// SAFETY: Xen writes at most `size` bytes, which is what the memory has room for.
unsafe impl Domctl for GetHvmContext<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_gethvmcontext" = 33);
    type Record = HvmContextRecord;

    fn record(&self) -> HvmContextRecord {
        let size = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        HvmContextRecord { size, pad: 0, buffer: self.0.address() }
    }
}
