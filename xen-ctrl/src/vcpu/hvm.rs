//! The registers of a vCPU of an HVM guest on x86.

use xen_sys::xen_public::errno::ENODATA;
use xen_sys::xen_public::hvm::{GetHvmContextPartial, SaveCode};
use xen_sys::zerocopy::{FromBytes, FromZeros};

use super::Vcpu;
use crate::Error;

/// The registers of a vCPU of an HVM or PVH guest.
pub use xen_sys::xen_public::hvm::HvmCpu;

/// Room for the record, and for what newer hypervisors may put behind it.
const ROOM: usize = 4096;

impl Vcpu<'_> {
    /// Reads the registers of a vCPU of an HVM or PVH guest, which is stopped meanwhile. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Refused`] with `ENODATA` for a vCPU that is off, with `EINVAL` for a PV guest
    /// or the caller's own domain.
    #[doc(alias = "XEN_DOMCTL_gethvmcontext_partial")]
    pub fn hvm_context(&self) -> Result<Box<HvmCpu>, Error> {
        // Xen has no record of a vCPU that is off, and would not say why
        if !self.info()?.online {
            return Err(Error::refused("XEN_DOMCTL_gethvmcontext_partial", Some(self.domain), ENODATA));
        }
        let mut room = self.xen.xencall().zeroed_buffer::<u8>(ROOM)?;
        let instance = self.id.get();
        self.domctl(&GetHvmContextPartial { kind: SaveCode::CPU.0.into(), instance, into: room.lend() })?;
        let cpu = HvmCpu::read_from_prefix(&room).map_or_else(|_| HvmCpu::new_zeroed(), |(cpu, _)| cpu);
        Ok(Box::new(cpu))
    }
}
