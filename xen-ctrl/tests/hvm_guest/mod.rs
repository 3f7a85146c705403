//! HVM guests of a few instructions, loaded by hand: 32 bits, no paging, segments of 4 GiB. Each vCPU ends with `hlt`; when all have,
//! the guest has shut down.
#![allow(dead_code, reason = "not every test program uses everything")]

pub(crate) mod code;

use std::time::{Duration, Instant};

use xen_ctrl::devicemodel::{DeviceModel, Io, IoHandler, IoreqServer, Request};
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind, X86Emulation, X86Options};
use xen_ctrl::hvm::{HvmContext, HvmRecord, SaveCode};
use xen_ctrl::memory::Allocation;
use xen_ctrl::vcpu::HvmCpu;
use xen_ctrl::{ForeignMemory, Gfn, Xenctrl};

use code::Code;

/// How many frames it has, from 0 on.
pub(crate) const FRAMES: u64 = 64;
/// Where the first vCPU's code is; the next one's is a page behind.
pub(crate) const CODE: u32 = 0x1000;
/// Where the first vCPU has its data; the next one's are a page behind.
pub(crate) const DATA: u32 = 0x8000;
/// How long a test waits for what should happen at once.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A guest, paused.
pub(crate) struct Guest<'a> {
    pub(crate) domain: CreatedDomain<'a>,
    pub(crate) model: DeviceModel,
    foreign: ForeignMemory,
}

impl<'a> Guest<'a> {
    /// One with a vCPU for each program, and what is emulated for PVH guests.
    pub(crate) fn new(xen: &'a Xenctrl, programs: &[Code]) -> Self {
        Self::with(xen, X86Emulation::PVH, programs)
    }

    /// One with a vCPU for each program.
    pub(crate) fn with(xen: &'a Xenctrl, emulation: X86Emulation, programs: &[Code]) -> Self {
        let x86 = X86Options { emulation: Some(emulation), ..X86Options::default() };
        Self::of(xen, CreateDomain::new(DomainKind::Hvm).x86(x86), programs)
    }

    fn of(xen: &'a Xenctrl, options: CreateDomain, programs: &[Code]) -> Self {
        let vcpus = u32::try_from(programs.len()).expect("few");
        let domain = xen.create_domain(&options.max_vcpus(vcpus)).expect("a domain");
        domain.set_max_vcpus(vcpus).expect("vCPUs");
        domain.set_max_memory(16 << 10).expect("limited");
        domain.memory().set_paging_allocation(4).expect("memory for page tables");
        let frames: Vec<_> = (0..FRAMES).map(Gfn::new).collect();
        domain.memory().populate_exact(&frames, Allocation::default()).expect("memory");
        let model = DeviceModel::open(domain.id()).expect("a device model");
        let foreign = ForeignMemory::open().expect("the device");
        domain.memory().clear_pages(&foreign, Gfn::new(0), FRAMES).expect("cleared");
        let guest = Self { domain, model, foreign };
        guest.start(programs);
        guest
    }

    /// One whose first vCPU has switched its local interrupt controller on, and takes no interrupts.
    pub(crate) fn with_local_controller(xen: &'a Xenctrl) -> Self {
        Self::with_local_controller_as(xen, CreateDomain::new(DomainKind::Hvm))
    }

    /// The same with these options.
    pub(crate) fn with_local_controller_as(xen: &'a Xenctrl, options: CreateDomain) -> Self {
        let code = Code::new().eax(0x1ff).store(0xfee0_00f0, 4).store(DATA, 4).raw(&[0xeb, 0xfe]);
        let x86 = X86Options { emulation: Some(X86Emulation::PVH), ..X86Options::default() };
        let guest = Self::of(xen, options.x86(x86), &[code]);
        guest.domain.unpause().expect("it begins");
        while guest.word(DATA) == 0 {
            std::thread::yield_now();
        }
        guest.domain.pause().expect("paused");
        guest
    }

    /// Whether an interrupt is requested of the first vCPU's local controller.
    pub(crate) fn is_requested(&self, vector: u8) -> bool {
        const REQUESTS: usize = 0x200;
        let registers = self.domain.hvm().record(SaveCode::LAPIC_REGS, 0).expect("registers").data;
        let bits = registers[REQUESTS + usize::from(vector / 32) * 16 + usize::from(vector % 32 / 8)];
        bits >> (vector % 8) & 1 != 0
    }

    fn start(&self, programs: &[Code]) {
        let first = self.domain.hvm().context().expect("its state");
        let header = first.find(SaveCode::HEADER, 0).expect("a header").clone();
        let mut context = HvmContext { records: vec![header] };
        for (index, program) in (0..).zip(programs) {
            let place = CODE + index * 0x1000;
            self.write(place.into(), &program.clone().end());
            let vcpu = u16::try_from(index).expect("few");
            let registers = flat(place.into(), u64::from(DATA + index * 0x1000) + 0xff0);
            context.records.push(HvmRecord::new(SaveCode::CPU, vcpu, &registers));
        }
        self.domain.hvm().set_context(&context).expect("taken");
    }

    /// Writes to its memory, within a frame.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        let page = self.foreign.map(self.domain.id(), &[Gfn::new(address >> 12)]).expect("mapped");
        page.copy_from_slice(usize::try_from(address & 0xfff).expect("small"), bytes).expect("inside");
    }

    /// What is in its memory, within a frame.
    pub(crate) fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let page = self.foreign.map_read_only(self.domain.id(), &[Gfn::new(address >> 12)]).expect("mapped");
        page.read(usize::try_from(address & 0xfff).expect("small")).expect("inside")
    }

    pub(crate) fn word(&self, address: u32) -> u32 {
        u32::from_le_bytes(self.read(address.into()))
    }

    /// Whether all of its vCPUs have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.domain.info().expect("there").shutdown_reason.is_some()
    }

    /// Lets it run, with a device for all of a server, until it ends. What it asked for, in order.
    pub(crate) fn run(&self, server: &IoreqServer, device: &mut impl IoHandler) -> Vec<Io> {
        self.domain.unpause().expect("it begins");
        self.serve(server, device)
    }

    /// Serves it until it ends.
    pub(crate) fn serve(&self, server: &IoreqServer, device: &mut impl IoHandler) -> Vec<Io> {
        let memory = self.model.memory(64);
        let mut seen = Vec::new();
        let deadline = Instant::now() + LONG;
        loop {
            server.wait(Some(Duration::from_millis(20))).expect("events");
            while let Some(request) = server.next_request() {
                seen.push(*request.io());
                request.serve(&memory, device).expect("answered");
            }
            if self.has_ended() {
                return seen;
            }
            assert!(Instant::now() < deadline, "it does not end; it has asked for {seen:?}");
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_for_end(&self) {
        let deadline = Instant::now() + LONG;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits for a request, and takes it.
pub(crate) fn next(server: &IoreqServer) -> Request<'_> {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(request) = server.next_request() {
            return request;
        }
        assert!(Instant::now() < deadline, "no request");
        server.wait(Some(Duration::from_secs(1))).expect("events");
    }
}

/// Registers to begin with.
pub(crate) fn flat(rip: u64, rsp: u64) -> HvmCpu {
    const ALL: u32 = u32::MAX;
    const DATA_SEGMENT: u32 = 0xc93;
    HvmCpu {
        cr0: 0x11,
        rip,
        rsp,
        rflags: 2,
        dr6: 0xffff_0ff0,
        dr7: 0x400,
        cs_limit: ALL,
        cs_arbytes: 0xc9b,
        ds_limit: ALL,
        ds_arbytes: DATA_SEGMENT,
        es_limit: ALL,
        es_arbytes: DATA_SEGMENT,
        ss_limit: ALL,
        ss_arbytes: DATA_SEGMENT,
        tr_limit: 0x67,
        tr_arbytes: 0x8b,
        ..HvmCpu::default()
    }
}

/// What a device was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Read(u64, u8),
    Write(u64, u8, u64),
}

/// A device that notes down what it is asked. Reads give `0x1122334455667788`, plus the number of reads before.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) seen: Vec<Seen>,
    reads: u64,
}

/// What it gives first.
pub(crate) const FIRST: u64 = 0x1122_3344_5566_7788;

impl IoHandler for Recorder {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        self.seen.push(Seen::Read(address, size));
        self.reads += 1;
        FIRST + self.reads - 1
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        self.seen.push(Seen::Write(address, size, value));
    }
}
