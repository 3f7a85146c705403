//! What the hypervisor's public headers define.

pub(crate) mod grant_table;

/// Size of a Xen frame, in bytes: 4096 on every architecture, whatever the kernel's own page size is.
#[doc(alias = "XC_PAGE_SIZE")]
#[doc(alias = "XEN_PAGE_SIZE")]
pub const PAGE_SIZE: usize = 4096;
