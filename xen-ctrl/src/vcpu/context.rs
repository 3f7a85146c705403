//! The registers of a vCPU.

use xen_sys::xen_public::domctl;
use xen_sys::xen_public::domctl::{GetVcpuContext, ResetVcpu, SetVcpuContext};

use super::Vcpu;
use crate::Error;

#[cfg(target_arch = "aarch64")]
pub use domctl::CoreRegisters;
/// The registers of a vCPU, as this architecture has them.
pub use domctl::VcpuContext;
#[cfg(target_arch = "x86_64")]
pub use domctl::{TrapInfo, UserRegisters};

/// The flags of a [`VcpuContext`].
pub mod flags {
    pub use xen_sys::xen_public::domctl::VGCF_ONLINE;
    #[cfg(target_arch = "x86_64")]
    pub use xen_sys::xen_public::domctl::{
        VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_SYSCALL_DISABLES_EVENTS,
    };
}

impl Vcpu<'_> {
    /// Reads the registers of a vCPU, which is stopped meanwhile. To see several vCPUs at the same moment, pause the domain first.
    ///
    /// One hypercall, on x86 two. On x86, an HVM guest has most of its state elsewhere; only what PV guests have too is here.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Refused`] with `ENODATA` before somebody has set the registers, or the
    /// guest has turned the vCPU on, with `EINVAL` for the caller's own domain; [`Error::Unsupported`] for a PV guest of 32 bits,
    /// whose registers have another form.
    #[doc(alias = "xc_vcpu_getcontext")]
    #[doc(alias = "XEN_DOMCTL_getvcpucontext")]
    pub fn context(&self) -> Result<Box<VcpuContext>, Error> {
        self.expect_own_form("XEN_DOMCTL_getvcpucontext")?;
        let mut context = self.xen.xencall().zeroed_buffer::<VcpuContext>(1)?;
        self.domctl(&GetVcpuContext::new(self.id.get(), context.lend()))?;
        Ok(self.decode(&context[0]))
    }

    /// Sets the registers of a vCPU, and begins it if [`VGCF_ONLINE`](flags::VGCF_ONLINE) is among the flags. The domain is stopped
    /// meanwhile.
    ///
    /// One hypercall, on x86 two.
    ///
    /// # Errors
    ///
    /// As [`context`](Self::context), but for `ENODATA`; [`Error::Refused`] with `EINVAL` for registers that a guest cannot have,
    /// or page tables that are none; on Xen 4.14 and 4.15 for a processor state of more than 32 bits, on Arm.
    /// [`Error::Unsupported`] also if a PV vCPU that has begun is to have other page or descriptor tables.
    #[doc(alias = "xc_vcpu_setcontext")]
    #[doc(alias = "XEN_DOMCTL_setvcpucontext")]
    pub fn set_context(&self, context: &VcpuContext) -> Result<(), Error> {
        self.expect_own_form("XEN_DOMCTL_setvcpucontext")?;
        let mut context = self.xen.xencall().buffer_from(&[self.encode(context)?])?;
        self.domctl(&SetVcpuContext::new(self.id.get(), context.lend())).map(drop)
    }

    /// Turns a vCPU off and forgets its registers, page tables included: it then takes any, as a new one does. One hypercall.
    ///
    /// An HVM guest on x86 keeps the state that is not in a [`VcpuContext`].
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Refused`] with `EINVAL` for the caller's own domain.
    #[doc(alias = "xc_vcpu_setcontext")]
    #[doc(alias = "XEN_DOMCTL_setvcpucontext")]
    pub fn reset(&self) -> Result<(), Error> {
        self.domctl(&ResetVcpu { vcpu: self.id.get() }).map(drop)
    }
}

#[cfg(target_arch = "x86_64")]
mod form {
    //! One form in all versions; but guests of 32 bits have another one.

    use super::{Error, Vcpu, VcpuContext, domctl};

    impl Vcpu<'_> {
        /// Fails for a PV guest of 32 bits. Xen would not say a word, and take its form of the registers.
        pub(super) fn expect_own_form(&self, operation: &'static str) -> Result<(), Error> {
            match self.domctl(&domctl::GetAddressSize) {
                Ok(address) if address.size != 64 => {
                    Err(Error::Unsupported { operation, needs: None, running: self.xen.version() })
                }
                // newer Xens answer for PV guests only
                Ok(_) | Err(Error::Unsupported { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        }

        #[expect(clippy::unused_self, reason = "as on Arm")]
        pub(super) fn decode(&self, record: &VcpuContext) -> Box<VcpuContext> {
            Box::new(*record)
        }

        #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Arm")]
        pub(super) fn encode(&self, context: &VcpuContext) -> Result<VcpuContext, Error> {
            Ok(*context)
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod form {
    //! Before Xen 4.16, processor states had 32 bits. The record of those days is shorter, so it fits in the present one's place.

    use xen_sys::xen_public::domctl::VcpuContext414;
    use xen_sys::xen_public::errno::EINVAL;
    use xen_sys::zerocopy::{FromBytes, FromZeros, IntoBytes};

    use super::{Error, Vcpu, VcpuContext};

    impl Vcpu<'_> {
        #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on x86")]
        pub(super) fn expect_own_form(&self, _operation: &'static str) -> Result<(), Error> {
            Ok(())
        }

        pub(super) fn decode(&self, record: &VcpuContext) -> Box<VcpuContext> {
            let old = || VcpuContext414::read_from_prefix(record.as_bytes()).ok();
            let old = if self.xen.is_at_least(16) { None } else { old() };
            Box::new(old.map_or(*record, |(old, _)| old.into()))
        }

        pub(super) fn encode(&self, context: &VcpuContext) -> Result<VcpuContext, Error> {
            if self.xen.is_at_least(16) {
                return Ok(*context);
            }
            let old = VcpuContext414::try_from(*context)
                .map_err(|_| Error::refused("XEN_DOMCTL_setvcpucontext", Some(self.domain), EINVAL))?;
            let mut record = VcpuContext::new_zeroed();
            record.as_mut_bytes()[..size_of::<VcpuContext414>()].copy_from_slice(old.as_bytes());
            Ok(record)
        }
    }
}
