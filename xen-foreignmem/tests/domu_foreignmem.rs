//! Other domains' memory from inside an unprivileged guest, on real Xen: out of reach, and the reason is told.

use std::process::Command;
use xen_foreignmem::{DomId, Error, ForeignMemory, Gfn, GrantTableFrames, Resource};

const GRANT_TABLE: Resource = Resource::GrantTable(GrantTableFrames::Shared);

fn memory() -> ForeignMemory {
    ForeignMemory::open().expect("privcmd")
}

/// Whether this kernel says that it keeps hypercalls in; those from before XSA-482 do not.
fn kernel_blocks_hypercalls() -> bool {
    let output = Command::new("dmesg").output().expect("the kernel's messages");
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).contains("blocking all hypercalls")
}

/// Every way to reach a domain's memory.
fn attempts(domain: DomId) -> [Result<(), Error>; 6] {
    let memory = memory();
    let frames = [Gfn::new(1), Gfn::new(2)];
    [
        memory.map(domain, &frames).map(drop),
        memory.map_read_only(domain, &frames).map(drop),
        memory.map_range(domain, frames[0], 2).map(drop),
        memory.map_partial(domain, &frames).map(drop),
        memory.map_resource(domain, GRANT_TABLE, 0, 1).map(drop),
        memory.resource_size(domain, GRANT_TABLE).map(drop),
    ]
}

#[test]
#[ignore = "needs a Xen guest"]
fn every_way_to_another_domain_names_the_block() {
    if !kernel_blocks_hypercalls() {
        println!("skipped: this kernel is from before XSA-482, and leaves the refusal to Xen");
        return;
    }
    for domain in [DomId::ZERO, DomId::SELF, DomId::new(4321).expect("a number")] {
        for attempt in attempts(domain) {
            let error = attempt.expect_err("a guest may not");
            assert!(matches!(error, Error::LockedDown { domain: of } if of == domain), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("blocks access to domain {domain}")), "{text}");
            assert!(text.contains("xen_privcmd.unrestricted=1"), "and what to do: {text}");
        }
    }
    let cache = memory().cache(DomId::ZERO, 16);
    let error = cache.read::<u64>(0x1000).expect_err("a guest may not");
    assert!(matches!(error, Error::LockedDown { .. }), "{error:?}");
}

#[test]
#[ignore = "needs a Xen guest"]
fn xen_itself_keeps_a_guest_from_dom0() {
    if kernel_blocks_hypercalls() {
        println!("skipped: this kernel asks Xen nothing");
        return;
    }
    let partial = memory().map_partial(DomId::ZERO, &[Gfn::new(1), Gfn::new(2)]).expect("in part");
    assert!(!partial.is_mapped(0) && !partial.is_mapped(1));
    let [map, read_only, range, _, resource, size] = attempts(DomId::ZERO);
    for refusal in [map, read_only, range] {
        assert!(matches!(refusal, Err(Error::Frame { domain: DomId::ZERO, index: 0, .. })), "{refusal:?}");
    }
    assert!(matches!(resource, Err(Error::Resource { .. })), "{resource:?}");
    assert!(matches!(size, Err(Error::Resource { .. } | Error::Unsupported { .. })), "{size:?}");
}
