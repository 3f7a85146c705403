//! Mappings of which every frame is there.

use std::fmt;
use std::ops::Deref;
use xen_sys::{Access, ReadWrite, SharedMemory};

macro_rules! mapping {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use = "dropping a mapping unmaps it"]
        pub struct $name<A: Access = ReadWrite> {
            /// Invariant: every frame is mapped.
            memory: SharedMemory<A>,
        }

        impl<A: Access> $name<A> {
            pub(crate) fn new(memory: SharedMemory<A>) -> Self {
                Self { memory }
            }
        }

        impl<A: Access> Deref for $name<A> {
            type Target = SharedMemory<A>;

            fn deref(&self) -> &SharedMemory<A> {
                &self.memory
            }
        }

        impl<A: Access> fmt::Debug for $name<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("frames", &self.pages())
                    .field("writable", &A::WRITABLE)
                    .finish()
            }
        }
    };
}

mapping! {
    /// Another domain's frames, mapped. Dropping it unmaps them, which is one system call and never fails.
    ///
    /// Frame `n` of the memory is the n-th of the list that was mapped. They lie together: 4096 bytes each, whatever the
    /// kernel's page size is. The mapping is independent of the handle that made it, which may be dropped.
    ///
    /// The kernel cannot pin this memory: it is no buffer for files with `O_DIRECT`, or for grant copies. Plain reads and
    /// writes of files ([`SharedMemory::read_from_file`]) are fine.
    #[doc(alias = "xenforeignmemory_unmap")]
    ForeignMapping
}

mapping! {
    /// What Xen keeps for a domain, mapped. Dropping it unmaps it, which is one system call and never fails.
    #[doc(alias = "xenforeignmemory_resource_handle")]
    #[doc(alias = "xenforeignmemory_resource_addr")]
    #[doc(alias = "xenforeignmemory_unmap_resource")]
    ResourceMapping
}
