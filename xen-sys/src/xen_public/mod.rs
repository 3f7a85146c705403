//! What the hypervisor's public headers define.

pub mod errno;
pub mod grant_table;
pub mod multicall;
pub mod operation;
pub mod version;

/// Size of a Xen frame, in bytes: 4096 on every architecture, whatever the kernel's own page size is.
#[doc(alias = "XC_PAGE_SIZE")]
#[doc(alias = "XEN_PAGE_SIZE")]
pub const PAGE_SIZE: usize = 4096;

/// Asserts size and field offsets of a record, as the C compiler prints them.
macro_rules! layout {
    ($record:ty, $size:literal $(, $field:ident @ $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$record>() == $size);
            $(assert!(core::mem::offset_of!($record, $field) == $offset);)*
        };
    };
}
pub(crate) use layout;
