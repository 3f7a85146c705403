//! The state of the virtual hardware: records, each with a type and a length.

use thiserror::Error as ThisError;
use xen_sys::xen_public::hvm::{SaveCode, SaveDescriptor};
use xen_sys::zerocopy::{FromBytes, Immutable, IntoBytes};

/// The state of a domain's virtual hardware: the interrupt controllers, timers, and the registers of each vCPU. Which records there
/// are, and how long, depends on the hypervisor and on what is emulated for the domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HvmContext {
    /// The records, in their order, without the end.
    pub records: Vec<HvmRecord>,
}

/// A record of the state of virtual hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvmRecord {
    /// What kind of record.
    pub code: SaveCode,
    /// Which one of its kind; the vCPU, for records about vCPUs.
    pub instance: u16,
    /// What is in it, as `public/hvm/save.h` lays it out.
    pub data: Vec<u8>,
}

/// Bytes are not the state of virtual hardware: a record is longer than what is left, or the end is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("no state of virtual hardware: record {record} is not complete")]
#[non_exhaustive]
pub struct InvalidContext {
    /// Which record, the first is 0.
    pub record: usize,
}

/// What stands behind the last record.
const END: SaveDescriptor = SaveDescriptor { typecode: 0, instance: 0, length: 0 };

impl HvmContext {
    /// Decodes what Xen gives, or what stands in a migration stream.
    ///
    /// # Errors
    ///
    /// [`InvalidContext`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidContext> {
        let mut records = Vec::new();
        let mut left = bytes;
        loop {
            let invalid = InvalidContext { record: records.len() };
            let (descriptor, behind) = SaveDescriptor::read_from_prefix(left).map_err(|_| invalid)?;
            if descriptor.typecode == END.typecode {
                return Ok(Self { records });
            }
            let length = usize::try_from(descriptor.length).map_err(|_| invalid)?;
            let (data, behind) = behind.split_at_checked(length).ok_or(invalid)?;
            let code = SaveCode(descriptor.typecode);
            records.push(HvmRecord { code, instance: descriptor.instance, data: data.to_vec() });
            left = behind;
        }
    }

    /// Encodes it as Xen takes it, with the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in &self.records {
            bytes.extend_from_slice(record.descriptor().as_bytes());
            bytes.extend_from_slice(&record.data);
        }
        bytes.extend_from_slice(END.as_bytes());
        bytes
    }

    /// The record of this kind and number.
    #[must_use]
    pub fn find(&self, code: SaveCode, instance: u16) -> Option<&HvmRecord> {
        self.records.iter().find(|record| record.code == code && record.instance == instance)
    }
}

impl HvmRecord {
    /// A record with these contents.
    pub fn new(code: SaveCode, instance: u16, contents: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        Self { code, instance, data: contents.as_bytes().to_vec() }
    }

    /// The contents as a structure. What an older hypervisor's record lacks is 0; what a newer one has behind it is left out.
    #[must_use]
    pub fn contents<T: FromBytes + IntoBytes>(&self) -> T {
        let mut contents = T::new_zeroed();
        let length = self.data.len().min(size_of::<T>());
        contents.as_mut_bytes()[..length].copy_from_slice(&self.data[..length]);
        contents
    }

    fn descriptor(&self) -> SaveDescriptor {
        let length = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        SaveDescriptor { typecode: self.code.0, instance: self.instance, length }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = HvmRecord> {
        (1_u16.., any::<u16>(), vec(any::<u8>(), 0..40)).prop_map(|(code, instance, data)| HvmRecord {
            code: SaveCode(code),
            instance,
            data,
        })
    }

    proptest! {
        #[test]
        fn records_come_back(records in vec(record(), 0..10)) {
            let context = HvmContext { records };
            prop_assert_eq!(HvmContext::from_bytes(&context.to_bytes()), Ok(context));
        }

        #[test]
        fn what_is_cut_off_is_noticed(records in vec(record(), 0..5), cut in 1_usize..) {
            let count = records.len();
            let bytes = HvmContext { records }.to_bytes();
            let cut = 1 + cut % bytes.len();
            let error = HvmContext::from_bytes(&bytes[..bytes.len() - cut]).expect_err("cut off");
            prop_assert!(error.record <= count);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in vec(any::<u8>(), 0..100)) {
            if let Ok(context) = HvmContext::from_bytes(&bytes) {
                prop_assert!(bytes.starts_with(&context.to_bytes()[..context.to_bytes().len() - 8]));
            }
        }
    }

    #[test]
    fn the_layout_is_xens() {
        let context = HvmContext { records: vec![HvmRecord::new(SaveCode(2), 3, &[0xabcd_u16])] };
        assert_eq!(context.to_bytes(), [2, 0, 3, 0, 2, 0, 0, 0, 0xcd, 0xab, 0, 0, 0, 0, 0, 0, 0, 0]);
        let found = context.find(SaveCode(2), 3).expect("there");
        assert_eq!((found.contents::<u8>(), found.contents::<u32>()), (0xcd, 0xabcd), "by length");
        assert_eq!(context.find(SaveCode(2), 0), None);
    }
}
