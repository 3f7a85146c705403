//! Other domains' memory.

use anyhow::{Context, Result, ensure};
use xen_foreignmem::{
    DomId, Error, ForeignMemory, Gfn, GrantTableFrames, MapOptions, ReadOnly, Resource, VcpuId,
};

use super::domains::nobody;
use super::{Check, Machine, Skipped, refused};
use crate::xenstore::{Tree, Xenstore};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "frames of this domain are mapped", run: own_frames },
    Check { name: "a frame of a guest is mapped", run: guest_frame },
    Check { name: "the grant table of a guest is mapped", run: guest_grant_table },
    Check { name: "frames of domains that are not there are refused", run: frames_of_nobody },
    Check { name: "resources of domains that are not there are refused", run: resources_of_nobody },
    Check { name: "frames at the edges are refused", run: edges },
    Check { name: "the kernel's block is named", run: block },
];

const GRANT_TABLE: Resource = Resource::GrantTable(GrantTableFrames::Shared);

/// Frames that no machine has: the last ones that 48 and 52 bits of address reach.
const IMPOSSIBLE: [u64; 2] = [(1 << 36) - 1, (1 << 40) - 1];

fn reading(memory: &ForeignMemory, domain: DomId) -> MapOptions<'_, ReadOnly> {
    memory.options(domain).read_only()
}

fn own_frames(machine: &Machine) -> Result<()> {
    // Where they are in the machine, only the kernel knows: look for some.
    const BATCH: u64 = 1 << 14;
    const END: u64 = 1 << 22;
    machine.may_issue_hypercalls()?;
    if !machine.is_pv() {
        return Err(Skipped("only a PV domain may map its own frames".into()).into());
    }
    let memory = ForeignMemory::open()?;
    for first in (0..END / BATCH).map(|batch| batch * BATCH) {
        let frames: Vec<_> = (first..first + BATCH).map(Gfn::new).collect();
        let found = reading(&memory, DomId::SELF).map_partial(&frames)?;
        if let Some(index) = (0..frames.len()).find(|&index| found.is_mapped(index)) {
            found.read::<u64>(index * 4096)?;
            return Ok(());
        }
    }
    Err(Skipped("this domain has no memory below 16 GiB".into()).into())
}

/// The frame of a guest's console, which the toolstack has noted.
fn console(guest: DomId) -> Result<Gfn> {
    let path = format!("/local/domain/{guest}/console/ring-ref");
    let frame = Xenstore::open()?.read(&path)?;
    frame.parse().with_context(|| format!("{path} is '{frame}'"))
}

fn guest_frame(machine: &Machine) -> Result<()> {
    let guest = machine.neighbour()?;
    let frame = console(guest)?;
    let memory = ForeignMemory::open()?;
    // Indices of the ring: what was printed, and how much of that was taken.
    let ring = memory.map_read_only(guest, &[frame])?;
    let (taken, printed) = (ring.load_u32(3072 + 8)?, ring.load_u32(3072 + 12)?);
    ensure!(printed.wrapping_sub(taken) <= 2048, "that is no console: {taken} of {printed} bytes");
    let partial = reading(&memory, guest).map_partial(&[Gfn::new(u64::MAX), frame])?;
    ensure!(!partial.is_mapped(0) && partial.is_mapped(1), "statuses: {:?}", partial.statuses());
    refused!(partial.read::<u8>(0), Error::NotMapped { index: 0, .. });
    partial.read::<u8>(4096)?;
    Ok(())
}

fn guest_grant_table(machine: &Machine) -> Result<()> {
    let guest = machine.neighbour()?;
    let memory = ForeignMemory::open()?;
    let table = reading(&memory, guest).map_resource(GRANT_TABLE, 0, 1)?;
    ensure!(table.len() == 4096, "{} bytes", table.len());
    table.read::<[u8; 16]>(0)?;
    for first in [1 << 31, u32::MAX] {
        refused!(reading(&memory, guest).map_resource(GRANT_TABLE, first, 1), Error::Resource { .. });
    }
    // a kernel with larger pages than Xen's cannot map several frames anyway
    let too_many = reading(&memory, guest).map_resource(GRANT_TABLE, 0, 1 << 20);
    refused!(too_many, Error::Resource { .. } | Error::Unsupported { .. });
    Ok(())
}

fn frames_of_nobody(machine: &Machine) -> Result<()> {
    machine.may_issue_hypercalls()?;
    let (nobody, memory) = (nobody()?, ForeignMemory::open()?);
    for gfn in IMPOSSIBLE.into_iter().chain([0, 1, 1 << 63, u64::MAX]).map(Gfn::new) {
        refused!(
            memory.map_read_only(nobody, &[gfn]),
            Error::Frame { domain, index: 0, gfn: of, source }
                if (domain, of) == (nobody, gfn) && machine.is_denied_or_nobody(&source)
        );
    }
    refused!(memory.map_read_only(nobody, &[]), Error::Count { count: 0, .. });
    Ok(())
}

fn resources_of_nobody(machine: &Machine) -> Result<()> {
    machine.may_issue_hypercalls()?;
    let (nobody, memory) = (nobody()?, ForeignMemory::open()?);
    let server = Resource::IoreqServer { id: u16::MAX };
    let trace = Resource::VmtraceBuffer { vcpu: VcpuId::new(u32::MAX) };
    for resource in [GRANT_TABLE, server, trace] {
        refused!(
            reading(&memory, nobody).map_resource(resource, 0, 1),
            Error::Resource { domain, source, .. } if domain == nobody && machine.is_denied_or_nobody(&source)
        );
        for first in [1 << 31, u32::MAX] {
            // Xen may look at the number before it looks for the domain.
            refused!(
                reading(&memory, nobody).map_resource(resource, first, 1),
                Error::Resource { domain, .. } if domain == nobody
            );
        }
    }
    Ok(())
}

/// A frame number whose upper half is cut becomes another frame: here, one that is there.
fn edges(machine: &Machine) -> Result<()> {
    let guest = machine.neighbour()?;
    let frame = console(guest)?.get();
    let memory = ForeignMemory::open()?;
    let alike = [32, 36, 39, 40, 52, 63].map(|bit| frame | 1 << bit);
    for gfn in alike.into_iter().chain(IMPOSSIBLE).map(Gfn::new) {
        refused!(memory.map_read_only(guest, &[gfn]), Error::Frame { index: 0, gfn: of, .. } if of == gfn);
    }
    Ok(())
}

fn block(machine: &Machine) -> Result<()> {
    if machine.may_issue_hypercalls().is_ok() {
        return Err(Skipped("this kernel lets hypercalls out of this domain".into()).into());
    }
    let memory = ForeignMemory::open()?;
    for domain in [DomId::ZERO, DomId::SELF, nobody()?] {
        refused!(memory.map(domain, &[Gfn::new(1)]), Error::LockedDown { domain: of } if of == domain);
        refused!(memory.map_partial(domain, &[Gfn::new(1)]), Error::LockedDown { domain: of } if of == domain);
        refused!(memory.map_resource(domain, GRANT_TABLE, 0, 1), Error::LockedDown { domain: of } if of == domain);
    }
    Ok(())
}
