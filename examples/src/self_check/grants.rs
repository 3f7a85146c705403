//! Grants: pages that are shared, copied and mapped.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use xen_evtchn::Evtchn;
use xen_gnttab::{
    CopySegment, DomId, Error, Gntalloc, Gnttab, Grant, GrantRef, GrantStatus, SharedPages, UnmapNotify,
};

use super::domains::nobody;
use super::{Check, Machine, refused};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "shared pages are fresh and ours to write", run: fresh_pages },
    Check { name: "released pages can be shared again", run: released_pages },
    Check { name: "releasing a shared page sends an event", run: release_event },
    Check { name: "Xen copies to and from grants", run: copies },
    Check { name: "a grant is mapped and seen from both sides", run: maps },
    Check { name: "a read-only grant is mapped for reading only", run: maps_read_only },
    Check { name: "unmapping clears a byte and sends an event", run: unmap_notification },
    Check { name: "grants at the edges of the table are refused", run: edges },
    Check { name: "grants of domains that are not there are refused", run: grants_of_nobody },
];

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

fn share(domain: DomId, pages: usize) -> Result<SharedPages> {
    Ok(Gntalloc::open()?.share(domain, pages)?)
}

fn fresh_pages(_: &Machine) -> Result<()> {
    // To grant a page, nobody need be there.
    for domain in [DomId::ZERO, nobody()?] {
        let pages = share(domain, 3)?;
        let mut bytes = vec![1; pages.len()];
        pages.copy_to_slice(0, &mut bytes)?;
        ensure!(bytes.iter().all(|&byte| byte == 0), "the pages are not zeroed");
        pages.write(4092, &0x0123_4567_89ab_cdef_u64)?;
        ensure!(pages.read::<u64>(4092)? == 0x0123_4567_89ab_cdef, "what was written is not there");
        ensure!(pages.read::<u64>(pages.len() - 7).is_err(), "memory behind the pages was read");
    }
    refused!(Gntalloc::open()?.share(DomId::ZERO, 0), Error::Count { count: 0, .. });
    Ok(())
}

fn released_pages(_: &Machine) -> Result<()> {
    // More in all than the limit of 1024 that kernels have.
    for _ in 0..20 {
        drop(share(DomId::ZERO, 60)?);
    }
    Ok(())
}

fn release_event(_: &Machine) -> Result<()> {
    let evtchn = Evtchn::open()?;
    let port = evtchn.bind_unbound(DomId::SELF)?;
    let far = evtchn.bind_interdomain(DomId::SELF, port.port())?;
    take(&evtchn)?; // binding causes one
    let gntalloc = Gntalloc::open()?;
    let pages =
        gntalloc.options().notify(0, UnmapNotify::new().send_event(port.port())).share(DomId::ZERO, 1)?;
    drop(pages);
    ensure!(take(&evtchn)? == Some(far.port()), "the event is on another port");
    Ok(())
}

/// Waits for an event, and takes it.
fn take(evtchn: &Evtchn) -> Result<Option<xen_evtchn::Port>> {
    ensure!(evtchn.wait(PATIENCE)?, "no event came");
    let port = evtchn.pending_one()?;
    evtchn.unmask(port.as_slice())?;
    Ok(port)
}

fn copies(machine: &Machine) -> Result<()> {
    let own = machine.own()?;
    let pages = share(own, 2)?;
    let grant = |page: usize| Grant::new(own, pages.grants()[page]);
    let text: Vec<u8> = (0..=250).cycle().take(3000).collect();
    let mut back = vec![0; 3000];
    let mut segments = [
        CopySegment::to_grant(&text, grant(0), 1000)?,
        CopySegment::between((grant(0), 1000), (grant(1), 7), 3000)?,
        CopySegment::from_grant(grant(1), 7, &mut back)?,
    ];
    Gnttab::open()?.copy(&mut segments)?;
    ensure!(back == text, "what came back is not what was sent");
    ensure!(pages.read::<[u8; 251]>(4096 + 7)? == text[..251], "the page has not what was copied to it");
    Ok(())
}

fn maps(machine: &Machine) -> Result<()> {
    let own = machine.own()?;
    machine.may_map_grants()?;
    let pages = share(own, 4)?;
    let mapping = Gnttab::open()?.map(own, pages.grants())?;
    pages.copy_from_slice(4090, b"across a page border")?;
    ensure!(&mapping.read::<[u8; 20]>(4090)? == b"across a page border", "the mapping shows something else");
    mapping.write(3 * 4096, &0xfeed_u32)?;
    ensure!(pages.load_u32(3 * 4096)? == 0xfeed, "a write through the mapping does not arrive");
    Ok(())
}

fn maps_read_only(machine: &Machine) -> Result<()> {
    let own = machine.own()?;
    machine.may_map_grants()?;
    let pages = Gntalloc::open()?.share_read_only(own, 1)?;
    pages.write(8, &7_u64)?;
    let gnttab = Gnttab::open()?;
    ensure!(
        gnttab.map_read_only(own, pages.grants())?.read::<u64>(8)? == 7,
        "the mapping shows something else"
    );
    refused!(gnttab.map(own, pages.grants()), Error::Grant { status: GrantStatus::PERMISSION_DENIED, .. });
    Ok(())
}

fn unmap_notification(machine: &Machine) -> Result<()> {
    let own = machine.own()?;
    machine.may_map_grants()?;
    let evtchn = Evtchn::open()?;
    let port = evtchn.bind_unbound(DomId::SELF)?;
    let far = evtchn.bind_interdomain(DomId::SELF, port.port())?;
    take(&evtchn)?; // binding causes one
    let pages = share(own, 1)?;
    pages.fill(0, 4096, 1)?;
    let notify = UnmapNotify::new().clear_byte(17).send_event(port.port());
    drop(Gnttab::open()?.options().notify(notify).map(&[Grant::new(own, pages.grants()[0])])?);
    ensure!(take(&evtchn)? == Some(far.port()), "the event is on another port");
    ensure!(pages.read::<[u8; 3]>(16)? == [1, 0, 1], "the byte, and no other, is to be cleared");
    Ok(())
}

/// What Xen says of a grant of this domain to itself, without mapping it.
fn status(own: DomId, reference: u32) -> Result<GrantStatus> {
    let mut byte = [0];
    let mut segments = [CopySegment::from_grant(Grant::new(own, GrantRef::new(reference)), 0, &mut byte)?];
    match Gnttab::open()?.copy(&mut segments) {
        Ok(()) | Err(Error::Copy { .. }) => Ok(segments[0].status()),
        Err(error) => Err(error.into()),
    }
}

/// The first reference beyond the grant table of this domain.
fn table_end(own: DomId) -> Result<u32> {
    // Entries of a frame, in the format that has fewer.
    const STEP: usize = 256;
    for end in (0..1 << 20).step_by(STEP) {
        if status(own, end)? == GrantStatus::BAD_GRANT_REF {
            return Ok(end);
        }
    }
    bail!("the grant table has no end")
}

fn edges(machine: &Machine) -> Result<()> {
    let own = machine.own()?;
    let end = table_end(own)?;
    ensure!(end > 0, "there is no grant table");
    let gnttab = Gnttab::open()?;
    // 0 is kept for the toolstack, which grants it to nobody or to dom0.
    let beyond = [end, end + 1, 1 << 31, (1 << 31) + 8, u32::MAX]
        .map(|reference| (reference, GrantStatus::BAD_GRANT_REF));
    for (reference, expected) in beyond.into_iter().chain([(0, GrantStatus::GENERAL_ERROR)]) {
        let reference = GrantRef::new(reference);
        refused!(
            gnttab.map(own, &[reference]),
            Error::Grant { index: 0, grant, status, .. }
                if grant == Grant::new(own, reference) && status == expected
        );
        refused!(gnttab.map_read_only(own, &[reference]), Error::Grant { index: 0, status, .. } if status == expected);
    }
    refused!(gnttab.map(own, &[]), Error::Count { count: 0, .. });
    Ok(())
}

fn grants_of_nobody(_: &Machine) -> Result<()> {
    let gnttab = Gnttab::open()?;
    for domain in [nobody()?, DomId::IO, DomId::XEN, DomId::COW, DomId::IDLE] {
        for reference in [0, 8, 1 << 31, u32::MAX].map(GrantRef::new) {
            refused!(
                gnttab.map(domain, &[reference]),
                Error::Grant { index: 0, grant, status: GrantStatus::BAD_DOMAIN, .. }
                    if grant == Grant::new(domain, reference)
            );
        }
    }
    Ok(())
}
