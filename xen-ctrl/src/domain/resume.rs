//! Continuing a guest whose suspend was cancelled.

use xen_sys::VcpuId;
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::xen_public::hvm::{GetHvmParam, Param};

use super::{Domain, DomainFlags, DomainInfo, ShutdownReason};
use crate::Error;
use crate::vcpu::VcpuContext;

/// What the hypercall gives a guest that goes on where it was; 0 says that it was restored elsewhere.
const CANCELLED: u64 = 1;

impl Domain<'_> {
    /// Continues a domain that has shut down to suspend, as if it had not: its hypercall returns 1, which says "cancelled", and it keeps
    /// its connections. What follows a checkpoint, or a migration that failed.
    ///
    /// The guest has to know of that: Linux does. For one that does not, which would have to be set up again as after a migration, there
    /// is no operation here. An HVM guest without drivers for Xen has made no hypercall, and just goes on. Up to seven hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if it has not shut down to suspend;
    /// [`Error::Unsupported`] for a PV guest of 32 bits.
    #[doc(alias = "xc_domain_resume")]
    pub fn resume_cancelled(&self) -> Result<(), Error> {
        let info = self.info()?;
        if info.shutdown_reason != Some(ShutdownReason::Suspend) {
            return Err(Error::refused("XEN_DOMCTL_resumedomain", Some(self.id), EINVAL));
        }
        if self.waits_for_an_answer(&info)? {
            let vcpu = self.vcpu(VcpuId::new(0)); // the one that suspends
            let mut context = vcpu.context()?;
            *return_value(&mut context) = CANCELLED;
            vcpu.set_context(&context)?;
        }
        self.resume()
    }

    /// Whether it was the guest that suspended itself, by a hypercall: always, but for HVM guests on x86 that nobody tells of events.
    fn waits_for_an_answer(&self, info: &DomainInfo) -> Result<bool, Error> {
        if cfg!(target_arch = "aarch64") || !info.flags.contains(DomainFlags::HVM_GUEST) {
            return Ok(true);
        }
        let parameter = GetHvmParam { domain: self.id, index: Param::CALLBACK_IRQ.0 };
        Ok(self.xen.call(Some(self.id), &parameter)?.record.value != 0)
    }
}

/// The register in which a hypercall's result is.
fn return_value(context: &mut VcpuContext) -> &mut u64 {
    #[cfg(target_arch = "x86_64")]
    return &mut context.user_regs.rax;
    #[cfg(target_arch = "aarch64")]
    return &mut context.user_regs.x[0];
}
