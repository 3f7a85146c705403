//! What HVM and PVH guests have besides: parameters, the state of their virtual hardware, what their pages are. On Arm, all guests
//! are of that kind; they have the parameters only.
//!
//! Interrupts and requests are the business of [device models](crate::devicemodel).

mod context;

pub use context::{HvmContext, HvmRecord, InvalidContext};
pub use xen_sys::xen_public::hvm::{Param, SaveCode};

use std::io;

use xen_call::GuestMemory;
use xen_sys::xen_public::domctl::Domctl;
use xen_sys::xen_public::errno::{EINVAL, ENODATA};
use xen_sys::xen_public::hvm::{
    GetHvmContext, GetHvmContextPartial, GetHvmParam, GetMemType, SetHvmContext, SetHvmParam,
};
use xen_sys::{DomId, Gfn};

use crate::devicemodel::MemoryType;
use crate::{Domain, Error, Xenctrl};

/// What an HVM or PVH guest has besides: its parameters and the state of its virtual hardware.
///
/// All operations fail with [`Error::NoSuchDomain`], with [`Error::Denied`], and with [`Error::Refused`] with `EINVAL` for a PV guest.
#[derive(Clone, Copy, Debug)]
pub struct Hvm<'a> {
    xen: &'a Xenctrl,
    id: DomId,
}

impl<'a> Domain<'a> {
    /// What it has as an HVM or PVH guest.
    #[must_use]
    pub fn hvm(&self) -> Hvm<'a> {
        Hvm { xen: self.xen, id: self.id }
    }
}

/// How a sleeping guest sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SleepState {
    /// It does not (S0).
    Awake,
    /// Only its memory is kept (S3).
    SuspendedToRam,
}

/// What the first record of a state is.
const HEADER: SaveCode = SaveCode(1);
/// Room for one record: more than the longest has, which is the extended registers'.
const RECORD_ROOM: usize = 64 << 10;

impl Hvm<'_> {
    /// Reads a parameter. One hypercall.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`]; [`Error::Refused`] with `EINVAL` for a parameter that this Xen does not have.
    #[doc(alias = "xc_hvm_param_get")]
    #[doc(alias = "xc_get_hvm_param")]
    #[doc(alias = "HVMOP_get_param")]
    pub fn param(&self, param: Param) -> Result<u64, Error> {
        let answer = self.xen.call(Some(self.id), &GetHvmParam { domain: self.id, index: param.0 })?;
        Ok(answer.record.value)
    }

    /// Sets a parameter. One hypercall.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`]; [`Error::Refused`] with `EINVAL` for a parameter that this Xen does not have, or a value that it
    /// cannot have, `EEXIST` for one that is set once and has another value already.
    #[doc(alias = "xc_hvm_param_set")]
    #[doc(alias = "xc_set_hvm_param")]
    #[doc(alias = "HVMOP_set_param")]
    pub fn set_param(&self, param: Param, value: u64) -> Result<(), Error> {
        let operation = SetHvmParam { domain: self.id, index: param.0, value };
        self.xen.call(Some(self.id), &operation).map(drop)
    }

    /// Whether the guest sleeps, as ACPI sees it. One hypercall. x86 only.
    ///
    /// # Errors
    ///
    /// As [`param`](Self::param).
    #[doc(alias = "HVM_PARAM_ACPI_S_STATE")]
    pub fn sleep_state(&self) -> Result<SleepState, Error> {
        let state = self.param(Param::ACPI_S_STATE)?;
        Ok(if state == 3 { SleepState::SuspendedToRam } else { SleepState::Awake })
    }

    /// Puts the guest to sleep, or wakes it. One hypercall. x86 only.
    ///
    /// # Errors
    ///
    /// As [`set_param`](Self::set_param).
    pub fn set_sleep_state(&self, state: SleepState) -> Result<(), Error> {
        let number = match state {
            SleepState::Awake => 0,
            SleepState::SuspendedToRam => 3,
        };
        self.set_param(Param::ACPI_S_STATE, number)
    }

    /// What a page is to the guest. One hypercall. [`DeviceModel`](crate::DeviceModel) changes it.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`].
    #[doc(alias = "HVMOP_get_mem_type")]
    pub fn memory_type(&self, page: Gfn) -> Result<MemoryType, Error> {
        let operation = GetMemType { domid: self.id.get(), pfn: page.get(), ..GetMemType::default() };
        let answer = self.xen.call(Some(self.id), &operation)?;
        Ok(MemoryType::from_number(answer.record.mem_type))
    }

    /// Reads the state of the virtual hardware, which a migration takes along. The domain is stopped meanwhile. Three hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`]; [`Error::Refused`] with `ENODATA` for a domain without vCPUs, `EINVAL` for the caller's own;
    /// [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_hvm_getcontext")]
    #[doc(alias = "XEN_DOMCTL_gethvmcontext")]
    pub fn context(&self) -> Result<HvmContext, Error> {
        let operation = GetHvmContext::COMMAND.name;
        self.expect_vcpus(operation)?;
        let size = self.xen.domctl(self.id, &GetHvmContext(GuestMemory::NULL))?.size;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut bytes = self.xen.xencall().zeroed_buffer::<u8>(size)?;
        let written = self.xen.domctl(self.id, &GetHvmContext(bytes.lend()))?.size;
        let written = usize::try_from(written).unwrap_or(usize::MAX).min(bytes.len());
        HvmContext::from_bytes(&bytes[..written]).map_err(|error| Error::Refused {
            operation,
            domain: Some(self.id),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }

    /// Sets the state of the virtual hardware: what [`context`](Self::context) gave, here or on another host; or records of one's own,
    /// after a header, as the state of any domain here begins with. vCPUs that no record is about are off afterwards; devices
    /// stay as they are. One hypercall.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`]; [`Error::Refused`] with `EINVAL` for records that this hypervisor, or this domain, cannot have,
    /// or whose first is no header; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_hvm_setcontext")]
    #[doc(alias = "XEN_DOMCTL_sethvmcontext")]
    pub fn set_context(&self, context: &HvmContext) -> Result<(), Error> {
        let first = context.records.first().map(|record| record.code);
        if cfg!(target_arch = "x86_64") && first != Some(HEADER) {
            // Xen does not say that this is what is wrong
            return Err(Error::refused(SetHvmContext::COMMAND.name, Some(self.id), EINVAL));
        }
        let mut bytes = self.xen.xencall().buffer_from(&context.to_bytes())?;
        self.xen.domctl(self.id, &SetHvmContext(bytes.lend())).map(drop)
    }

    /// Reads one record of the state of the virtual hardware: of the n-th device of its kind, or of a vCPU. Its length is what this Xen
    /// says; newer ones may put more behind what older ones have. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Hvm`]; [`Error::Refused`] with `ENODATA` for a domain without vCPUs, `ENOENT` or `EINVAL` if there is
    /// no such record, as for a vCPU that is off; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_hvm_getcontext_partial")]
    #[doc(alias = "XEN_DOMCTL_gethvmcontext_partial")]
    pub fn record(&self, code: SaveCode, instance: u16) -> Result<HvmRecord, Error> {
        self.expect_vcpus(GetHvmContextPartial::COMMAND.name)?;
        let mut room = self.xen.xencall().zeroed_buffer::<u8>(RECORD_ROOM)?;
        let operation =
            GetHvmContextPartial { kind: code.0.into(), instance: instance.into(), into: room.lend() };
        let length = self.xen.domctl(self.id, &operation)?.bufsz;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(room.len());
        Ok(HvmRecord { code, instance, data: room[..length].to_vec() })
    }

    /// Fails for a domain without vCPUs: asked for the state of one, Xen 4.17 crashes.
    fn expect_vcpus(&self, operation: &'static str) -> Result<(), Error> {
        if self.xen.domain(self.id).info()?.max_vcpu.is_some() {
            return Ok(());
        }
        Err(Error::refused(operation, Some(self.id), ENODATA))
    }
}
