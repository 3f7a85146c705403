//! Mapped grants.

use std::fmt;
use std::ops::Deref;
use xen_sys::{Access, ReadWrite, SharedMemory};

/// Another domain's pages, mapped. Dropping it unmaps them.
///
/// Page `n` of the memory is the n-th grant of the list that was mapped. The mapping is independent of the
/// [`Gnttab`](crate::Gnttab) that made it, which may be dropped.
///
/// Unmapping never fails and never waits. If the kernel still has I/O in flight on one of the pages (a file written from
/// here with `O_DIRECT`, say), the mapping's pages are unmapped when the I/O is done, so the granting domain may see them in
/// use for a while longer.
#[must_use = "dropping a mapping unmaps it"]
#[doc(alias = "xengnttab_unmap")]
#[doc(alias = "xengnttab_munmap")]
pub struct GrantMapping<A: Access = ReadWrite> {
    memory: SharedMemory<A>,
}

impl<A: Access> GrantMapping<A> {
    pub(crate) fn new(memory: SharedMemory<A>) -> Self {
        Self { memory }
    }
}

impl<A: Access> Deref for GrantMapping<A> {
    type Target = SharedMemory<A>;

    fn deref(&self) -> &SharedMemory<A> {
        &self.memory
    }
}

impl<A: Access> fmt::Debug for GrantMapping<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantMapping").field("pages", &self.pages()).field("writable", &A::WRITABLE).finish()
    }
}
