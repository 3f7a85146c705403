//! `hvm/params.h`: numbers on which Xen, the toolstack and the guest agree; and the operations of `hvm/hvm_op.h` on them.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use crate::DomId;
use crate::xen_public::layout;
use crate::xen_public::operation::{HypercallNumber, Operation};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_hvm_param`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_hvm_param")]
pub struct HvmParam {
    /// Whose.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// Which: see [`Param`](super::Param).
    pub index: u32,
    /// What it is.
    pub value: u64,
}
layout!(HvmParam = "struct xen_hvm_param", 16, domid @ 0, index @ 4, value @ 8);

/// Reads a parameter.
///
/// `HVMOP_get_param`
#[derive(Clone, Copy, Debug)]
pub struct GetHvmParam {
    /// Whose.
    pub domain: DomId,
    /// Which: see [`Param`](super::Param).
    pub index: u32,
}

/// Sets a parameter.
///
/// `HVMOP_set_param`
#[derive(Clone, Copy, Debug)]
pub struct SetHvmParam {
    /// Whose.
    pub domain: DomId,
    /// Which: see [`Param`](super::Param).
    pub index: u32,
    /// What it is to be.
    pub value: u64,
}

impl GetHvmParam {
    fn param(self) -> HvmParam {
        HvmParam { domid: self.domain.get(), pad: 0, index: self.index, value: 0 }
    }
}

impl SetHvmParam {
    fn param(self) -> HvmParam {
        HvmParam { domid: self.domain.get(), pad: 0, index: self.index, value: self.value }
    }
}

/// Makes a type with a `param` an operation.
macro_rules! param_op {
    ($operation:ident, $name:literal = $command:literal) => {
        // SAFETY: Xen reads and writes one such record, of integers only.
        unsafe impl Operation for $operation {
            const NUMBER: HypercallNumber = HypercallNumber::HVM_OP;
            const NAME: &'static str = $name;
            type Record = HvmParam;

            fn record(&self) -> HvmParam {
                self.param()
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}

param_op!(GetHvmParam, "HVMOP_get_param" = 1);
param_op!(SetHvmParam, "HVMOP_set_param" = 0);
