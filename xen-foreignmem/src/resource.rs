//! What Xen keeps for a domain: its grant table, the pages of an I/O request server, trace buffers.
#![expect(unsafe_code, reason = "sends requests that carry an address; makes memory of what they filled")]

use crate::frames::keeps_from;
use crate::{Error, ResourceMapping};
use rustix::param::page_size;
use std::fmt;
use std::io;
use xen_sys::linux::privcmd::{MmapResource, Privcmd};
use xen_sys::xen_public::errno::{EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM};
use xen_sys::{Access, Device, DomId, PAGE_SIZE, SharedMemory, VcpuId};

/// Memory that Xen keeps for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The pages of an I/O request server: frame 0 is the ring of buffered requests, those from 1 on hold the synchronous
    /// ones.
    #[doc(alias = "XENMEM_resource_ioreq_server")]
    IoreqServer {
        /// The server (`ioservid_t`).
        id: u16,
    },
    /// The domain's grant table.
    #[doc(alias = "XENMEM_resource_grant_table")]
    GrantTable(GrantTableFrames),
    /// The buffer of processor trace of a vCPU.
    #[doc(alias = "XENMEM_resource_vmtrace_buf")]
    VmtraceBuffer {
        /// The vCPU.
        vcpu: VcpuId,
    },
}

/// Which frames of a grant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantTableFrames {
    /// The entries.
    #[doc(alias = "XENMEM_resource_grant_table_id_shared")]
    Shared,
    /// The status words of a table of version 2.
    #[doc(alias = "XENMEM_resource_grant_table_id_status")]
    Status,
}

impl Resource {
    /// The kind and the number that Xen knows it by.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::IoreqServer { id } => (0, id.into()),
            Self::GrantTable(GrantTableFrames::Shared) => (1, 0),
            Self::GrantTable(GrantTableFrames::Status) => (1, 1),
            Self::VmtraceBuffer { vcpu } => (2, vcpu.get()),
        }
    }

    fn request(self, domain: DomId) -> MmapResource {
        let (kind, id) = self.numbers();
        MmapResource { dom: domain.get(), padding: 0, kind, id, idx: 0, num: 0, addr: 0 }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IoreqServer { id } => write!(f, "I/O request server {id}"),
            Self::GrantTable(GrantTableFrames::Shared) => f.write_str("the grant table"),
            Self::GrantTable(GrantTableFrames::Status) => f.write_str("the grant table's status frames"),
            Self::VmtraceBuffer { vcpu } => write!(f, "the trace buffer of vCPU {vcpu}"),
        }
    }
}

pub(crate) fn map<A: Access>(
    device: &Device<Privcmd>,
    domain: DomId,
    resource: Resource,
    first_frame: u32,
    count: usize,
) -> Result<ResourceMapping<A>, Error> {
    let call = "mapping";
    let number = u32::try_from(count).ok().filter(|&number| number > 0);
    let number = number.ok_or(Error::Count { call, count })?;
    if count > 1 && page_size() > PAGE_SIZE {
        // such a kernel makes room in its own pages, but counts Xen's: it would write beyond both lists and mapping
        return Err(Error::Unsupported {
            operation: "mapping several frames of a resource at once",
            needs: "a kernel with pages of 4 KiB; map them one by one",
        });
    }
    // SAFETY: it is handed out only if the driver has filled it all.
    let memory = unsafe { SharedMemory::<A>::reserve(device, count, count) };
    let memory = memory.map_err(|source| Error::Map { domain, count, source })?;
    let addr = memory.page_ptr(0).map_or(0, |place| place.expose_provenance() as u64);
    let mut request = MmapResource { idx: first_frame, num: number.into(), addr, ..resource.request(domain) };
    // SAFETY: the place is that of reserved memory that has exactly `num` frames, and that nothing was mapped into.
    let outcome = unsafe { device.submit_unchecked(&mut request) };
    outcome.map_err(|source| refused(device, call, domain, resource, source))?;
    Ok(ResourceMapping::new(memory))
}

pub(crate) fn size(device: &Device<Privcmd>, domain: DomId, resource: Resource) -> Result<u64, Error> {
    let call = "asking for the size of";
    match ask_size(device, domain, resource) {
        Ok(frames) => Ok(frames),
        Err(source) if source.raw_os_error() == Some(EINVAL) && !answers_sizes(device, domain) => {
            Err(Error::Unsupported {
                operation: "asking for the size of a resource",
                needs: "a Linux kernel that answers it (5.12, or 5.10 of the stable series)",
            })
        }
        Err(source) => Err(refused(device, call, domain, resource, source)),
    }
}

fn ask_size(device: &Device<Privcmd>, domain: DomId, resource: Resource) -> io::Result<u64> {
    let mut request = resource.request(domain);
    // SAFETY: without an address, the driver writes the answer into the record and nothing else.
    unsafe { device.submit_unchecked(&mut request) }?;
    Ok(request.num)
}

/// Whether the kernel answers the question at all: of the grant table, which every domain has, Xen knows the size.
fn answers_sizes(device: &Device<Privcmd>, domain: DomId) -> bool {
    let grant_table = ask_size(device, domain, Resource::GrantTable(GrantTableFrames::Shared));
    !grant_table.is_err_and(|error| error.raw_os_error() == Some(EINVAL))
}

fn refused(
    device: &Device<Privcmd>,
    call: &'static str,
    domain: DomId,
    resource: Resource,
    source: io::Error,
) -> Error {
    match source.raw_os_error() {
        // The kernel says so because of the file, Xen because of the domain.
        Some(EPERM) if keeps_from(device, domain) => Error::restriction(domain),
        Some(ENOTTY) => Error::Unsupported { operation: "mapping a resource", needs: "Linux 4.18 or later" },
        Some(ENOSYS | EOPNOTSUPP) => Error::Unsupported {
            operation: "mapping such a resource",
            needs: "a Xen, and a processor, that have it",
        },
        _ => Error::Resource { call, domain, resource, source },
    }
}
