//! What a vCPU of x86 has beside its registers: callbacks for 32-bit programs, machine checks.

use xen_sys::xen_public::domctl::{
    ExtVcpuContextRecord, GetExtVcpuContext, MachineCheckRecord, SetExtVcpuContext,
};

use super::Vcpu;
use crate::Error;

/// What a vCPU of x86 has beside its registers, as a migration takes it along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "xen_domctl_ext_vcpucontext")]
pub struct ExtendedContext {
    /// Where system calls of 32-bit programs go (SYSCALL), in a PV guest.
    pub syscall32: Callback,
    /// Where SYSENTER goes, in a PV guest.
    pub sysenter: Callback,
    /// The machine check registers.
    pub machine_check: MachineCheck,
}

/// Where the kernel of a PV guest is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Callback {
    /// Address of the code; 0 for none.
    pub address: u64,
    /// Code segment.
    pub code_segment: u16,
    /// Whether events are masked then.
    pub disables_events: bool,
}

/// The machine check registers of a vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "hvm_vmce_vcpu")]
pub struct MachineCheck {
    /// What there is (`MCG_CAP`): the number of banks in the lowest byte.
    #[doc(alias = "mcg_cap")]
    pub capabilities: u64,
    /// Which corrected errors of banks 0 and 1 interrupt (`MCi_CTL2`).
    pub bank_control: [u64; 2],
    /// Whether errors go to one vCPU only (`MCG_EXT_CTL`).
    pub extended_control: u64,
}

impl From<ExtVcpuContextRecord> for ExtendedContext {
    fn from(record: ExtVcpuContextRecord) -> Self {
        Self {
            syscall32: Callback {
                address: record.syscall32_callback_eip,
                code_segment: record.syscall32_callback_cs,
                disables_events: record.syscall32_disables_events != 0,
            },
            sysenter: Callback {
                address: record.sysenter_callback_eip,
                code_segment: record.sysenter_callback_cs,
                disables_events: record.sysenter_disables_events != 0,
            },
            machine_check: MachineCheck {
                capabilities: record.vmce.caps,
                bank_control: [record.vmce.mci_ctl2_bank0, record.vmce.mci_ctl2_bank1],
                extended_control: record.vmce.mcg_ext_ctl,
            },
        }
    }
}

impl ExtendedContext {
    fn to_record(self, vcpu: u32) -> ExtVcpuContextRecord {
        let Self { syscall32, sysenter, machine_check } = self;
        let [mci_ctl2_bank0, mci_ctl2_bank1] = machine_check.bank_control;
        ExtVcpuContextRecord {
            vcpu,
            size: u32::try_from(size_of::<ExtVcpuContextRecord>()).unwrap_or(u32::MAX),
            syscall32_callback_eip: syscall32.address,
            sysenter_callback_eip: sysenter.address,
            syscall32_callback_cs: syscall32.code_segment,
            sysenter_callback_cs: sysenter.code_segment,
            syscall32_disables_events: syscall32.disables_events.into(),
            sysenter_disables_events: sysenter.disables_events.into(),
            pad: 0,
            vmce: MachineCheckRecord {
                caps: machine_check.capabilities,
                mci_ctl2_bank0,
                mci_ctl2_bank1,
                mcg_ext_ctl: machine_check.extended_control,
            },
        }
    }
}

impl Vcpu<'_> {
    /// Reads callbacks and machine check registers of a vCPU, which is stopped meanwhile. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Refused`] with `ESRCH` if there is no such
    /// vCPU, with `EINVAL` for the caller's own.
    #[doc(alias = "XEN_DOMCTL_get_ext_vcpucontext")]
    pub fn extended_context(&self) -> Result<ExtendedContext, Error> {
        Ok(self.domctl(&GetExtVcpuContext { vcpu: self.id.get() })?.into())
    }

    /// Sets callbacks and machine check registers of a vCPU; the domain is stopped meanwhile. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`extended_context`](Self::extended_context); [`Error::Refused`] with `EINVAL` also for addresses that a guest cannot have, and
    /// callbacks of an HVM guest; [`Error::Denied`] (`EPERM`) for machine check capabilities that this Xen does not have.
    #[doc(alias = "XEN_DOMCTL_set_ext_vcpucontext")]
    pub fn set_extended_context(&self, context: &ExtendedContext) -> Result<(), Error> {
        self.domctl(&SetExtVcpuContext(context.to_record(self.id.get()))).map(drop)
    }
}
