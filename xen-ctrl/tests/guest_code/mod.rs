//! Guests of a few bytes of machine code.
#![allow(dead_code, reason = "not every test program uses everything")]

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use std::thread;
use std::time::{Duration, Instant};

use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind, GuestWidth, ShutdownReason};
use xen_ctrl::memory::Allocation;
use xen_ctrl::{ForeignMemory, Gfn, Vcpu, VcpuId, Xenctrl};

pub(crate) const PAGE_SIZE: u64 = 4096;
/// How many frames a guest has.
pub(crate) const FRAMES: u64 = 16;
/// The frame that its code is in.
pub(crate) const CODE: u64 = 8;
/// The frame that it writes to.
pub(crate) const DATA: u64 = 9;
/// Where, in that frame, the argument of its hypercall is: why it shuts down.
pub(crate) const REASON: u64 = 4088;
/// What stands in the first words that it has not written yet.
pub(crate) const UNTOUCHED: u64 = 0x5555_5555_5555_5555;

/// A domain of one vCPU, which has no registers yet; paused.
pub(crate) struct Guest<'a> {
    pub(crate) domain: CreatedDomain<'a>,
    pub(crate) foreign: ForeignMemory,
    frames: Vec<Gfn>,
}

impl<'a> Guest<'a> {
    /// One whose own numbering of its frames begins with `first`. Apart from code and data, they are zero.
    pub(crate) fn new(xen: &'a Xenctrl, kind: DomainKind, first: u64, code: &[u8]) -> Self {
        let domain = xen.create_domain(&CreateDomain::new(kind)).expect("a domain");
        domain.set_max_memory(16 << 10).expect("limited");
        domain.set_max_vcpus(1).expect("a vCPU");
        if cfg!(target_arch = "aarch64") {
            domain.set_guest_width(GuestWidth::Bits64).expect("64 bits");
            if xen.version().minor >= 17 {
                domain.set_paging_memory(1 << 20).expect("memory for its page tables");
            }
        }
        let places: Vec<_> = (first..first + FRAMES).map(Gfn::new).collect();
        let frames = domain.memory().populate_exact(&places, Allocation::default()).expect("memory");
        let guest = Self { domain, foreign: ForeignMemory::open().expect("the device"), frames };
        for &frame in &guest.frames {
            guest.domain.memory().clear_pages(&guest.foreign, frame, 1).expect("cleared");
        }
        guest.write(CODE * PAGE_SIZE, code);
        guest.write(DATA * PAGE_SIZE, UNTOUCHED.to_le_bytes().repeat(64).as_slice());
        guest.write(DATA * PAGE_SIZE + REASON, &[ShutdownReason::Suspend.number()]);
        guest
    }

    /// One of its frames, by which [`ForeignMemory`] maps it.
    pub(crate) fn frame(&self, index: u64) -> Gfn {
        self.frames[usize::try_from(index).expect("few")]
    }

    /// Writes at a place in its memory, within a frame.
    pub(crate) fn write(&self, place: u64, bytes: &[u8]) {
        let frame = self.frame(place / PAGE_SIZE);
        let page = self.foreign.map(self.domain.id(), &[frame]).expect("mapped");
        page.copy_from_slice(usize::try_from(place % PAGE_SIZE).expect("small"), bytes).expect("inside");
        drop(page);
        self.domain.memory().flush_caches(frame, 1).expect("the guest sees it");
    }

    /// What the guest has written.
    pub(crate) fn word(&self, index: u64) -> u64 {
        let frame = self.frame(DATA);
        self.domain.memory().flush_caches(frame, 1).expect("as the guest sees it");
        let page = self.foreign.map_read_only(self.domain.id(), &[frame]).expect("mapped");
        page.read(usize::try_from(index * 8).expect("small")).expect("inside")
    }

    pub(crate) fn vcpu(&self) -> Vcpu<'a> {
        self.domain.vcpu(VcpuId::new(0))
    }

    pub(crate) fn has_suspended(&self) -> bool {
        self.domain.info().expect("there").shutdown_reason == Some(ShutdownReason::Suspend)
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
