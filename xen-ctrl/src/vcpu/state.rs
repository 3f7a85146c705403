//! What a vCPU of x86 has beside its context, as a migration takes it along.

use std::io;

use xen_call::{Attempt, GuestMemory};
use xen_sys::xen_public::domctl::{
    GetVcpuExtState, GetVcpuMsrs, SetVcpuExtState, SetVcpuMsrs, VcpuExtStateRecord, VcpuMsr,
};

use super::Vcpu;
use crate::Error;

/// The extended registers of a vCPU (XSAVE).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedState {
    /// The features that the host supports, as bits of XCR0. Another host takes the state only if it supports the same.
    pub features: u64,
    /// The features that are on.
    pub xcr0: u64,
    /// The features that have ever been on, whose registers are in the area.
    pub xcr0_accumulated: u64,
    /// The registers, as XSAVE lays them out in its standard form. Empty on a processor without XSAVE.
    pub area: Vec<u8>,
}

/// How many bytes stand in front of the area.
const HEADER: usize = 16;

impl ExtendedState {
    fn from_bytes(features: u64, bytes: &[u8]) -> Self {
        let word = |index: usize| {
            let bytes = bytes.get(index * 8..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let area = bytes.get(HEADER..).unwrap_or_default().to_vec();
        Self { features, xcr0: word(0), xcr0_accumulated: word(1), area }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let header = [self.xcr0.to_le_bytes(), self.xcr0_accumulated.to_le_bytes()];
        [header.as_flattened(), &self.area].concat()
    }
}

/// A model-specific register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Msr {
    /// Which register.
    pub index: u32,
    /// What is in it.
    pub value: u64,
}

fn length(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}

impl Vcpu<'_> {
    /// Reads the extended registers of a vCPU of a PV guest; the vCPU is stopped meanwhile. Three hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Unsupported`] on Arm, [`Error::Refused`] with `EINVAL` for an HVM guest or
    /// the caller's own vCPU.
    #[doc(alias = "xc_vcpu_get_extstate")]
    #[doc(alias = "XEN_DOMCTL_getvcpuextstate")]
    pub fn extended_state(&self) -> Result<ExtendedState, Error> {
        let most = self.read_extended_state(0, GuestMemory::NULL)?;
        let mut bytes = self.xen.xencall().zeroed_buffer::<u8>(length(most.size))?;
        let answer = self.read_extended_state(most.xfeature_mask, bytes.lend())?;
        let used = length(answer.size).min(bytes.len());
        Ok(ExtendedState::from_bytes(answer.xfeature_mask, &bytes[..used]))
    }

    fn read_extended_state(&self, features: u64, into: GuestMemory<'_>) -> Result<VcpuExtStateRecord, Error> {
        self.domctl(&GetVcpuExtState { vcpu: self.id.get(), features, into })
    }

    /// Sets the extended registers of a vCPU of a PV guest. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`extended_state`](Self::extended_state); [`Error::Refused`] with `EINVAL` for a state that this host cannot take.
    #[doc(alias = "XEN_DOMCTL_setvcpuextstate")]
    pub fn set_extended_state(&self, state: &ExtendedState) -> Result<(), Error> {
        let mut bytes = self.xen.xencall().buffer_from(&state.to_bytes())?;
        let operation = SetVcpuExtState { vcpu: self.id.get(), features: state.features, from: bytes.lend() };
        self.domctl(&operation).map(drop)
    }

    /// Reads the model-specific registers that a migration takes along: those that are not 0. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Unsupported`] on Arm, [`Error::Refused`] with `EINVAL` for the caller's own
    /// domain or an HVM guest, whose registers are elsewhere.
    #[doc(alias = "XEN_DOMCTL_get_vcpu_msrs")]
    pub fn msrs(&self) -> Result<Vec<Msr>, Error> {
        let vcpu = self.id.get();
        let most = self.domctl(&GetVcpuMsrs { vcpu, into: GuestMemory::NULL })?.msr_count;
        let mut records = self.xen.xencall().zeroed_buffer::<VcpuMsr>(length(most))?;
        let answer = self.domctl(&GetVcpuMsrs { vcpu, into: records.lend() })?;
        let used = length(answer.msr_count).min(records.len());
        Ok(records[..used].iter().map(|msr| Msr { index: msr.index, value: msr.value }).collect())
    }

    /// Sets such registers. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`msrs`](Self::msrs); [`Error::Incomplete`], usually with `EINVAL`, if Xen does not let this guest have one of them, or not
    /// this value: `done` is its index, and those before it are set. [`Error::Refused`] with `EINVAL` for more than a guest can have.
    #[doc(alias = "XEN_DOMCTL_set_vcpu_msrs")]
    pub fn set_msrs(&self, msrs: &[Msr]) -> Result<(), Error> {
        let records = msrs.iter().map(|msr| VcpuMsr { index: msr.index, reserved: 0, value: msr.value });
        let mut records = self.xen.xencall().buffer_from(&records.collect::<Vec<_>>())?;
        let operation = SetVcpuMsrs { vcpu: self.id.get(), from: records.lend() };
        let Attempt { result, record } = self.xen.attempt_domctl(self.domain, &operation)?;
        let (done, asked) = (length(record.msr_count), msrs.len());
        match result {
            Err(error) if done < asked => Err(Error::Incomplete {
                operation: "XEN_DOMCTL_set_vcpu_msrs",
                domain: Some(self.domain),
                done,
                asked,
                source: error.errno().map(io::Error::from_raw_os_error),
            }),
            result => result.map(drop).map_err(|error| self.explain(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_extended_state_comes_back(
            features: u64,
            xcr0: u64,
            xcr0_accumulated: u64,
            area in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let state = ExtendedState { features, xcr0, xcr0_accumulated, area };
            let bytes = state.to_bytes();
            prop_assert_eq!(bytes.len(), 16 + state.area.len());
            prop_assert_eq!(&bytes[8..16], xcr0_accumulated.to_le_bytes());
            prop_assert_eq!(ExtendedState::from_bytes(features, &bytes), state);
        }
    }

    #[test]
    fn a_short_answer_is_no_state() {
        assert_eq!(ExtendedState::from_bytes(0, &[1; 7]), ExtendedState::default());
    }
}
