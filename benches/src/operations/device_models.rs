//! Operations of device models.
#![expect(unsafe_code, reason = "prepared system calls; the page of requests, as C sees it")]

use crate::c;
use crate::domain::BareDomain;
use crate::floor::{self, Prepared};
use crate::operation::{Operation, Side};
use anyhow::{Context, Result};
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use xen_ctrl::devicemodel::{Buffering, DeviceModel, MemoryType, PageRun};
use xen_ctrl::{ForeignMemory, Gfn, IoreqServer};
use xen_evtchn::{EventChannel, Evtchn, Port};
use xen_foreignmem::{Resource, ResourceMapping};
use xen_sys::linux::evtchn::Notify;
use xen_sys::linux::privcmd::{DmOp, DmOpBuf};
use xen_sys::xen_public::hvm::{
    CreateIoreqServer, DmOpRecord, DmOperation, HVMMEM_RAM_RW, IOREQ_INPROCESS, IOREQ_READY, IORESP_READY,
    IoRange, Ioreq, MapIoRange, ModifiedExtent, ModifiedMemory, SetIoreqServerState, SetMemType,
};
use xen_sys::zerocopy::IntoBytes;

pub(super) fn operations() -> Result<Vec<Operation>> {
    let guest = Rc::new(BareDomain::new(64)?);
    Ok(vec![set_memory_type(&guest)?, modified_memory(&guest)?, round_trip()?])
}

/// A page of the guest's, for all operations.
const PAGE: u64 = 9;

/// An operation without a list.
fn set_memory_type(guest: &Rc<BareDomain>) -> Result<Operation> {
    let run = PageRun { first: Gfn::new(PAGE), count: 1 };
    let ours = Side::prepared(
        (DeviceModel::open(guest.id())?, Rc::clone(guest)),
        |_| (),
        move |(model, _)| model.set_memory_type(run, MemoryType::Ram).expect("set"),
    );
    let c = c::DeviceModel::open(guest.id().get());
    let c = c.map(|c| Side::new(move || c.set_memory_type(PAGE, HVMMEM_RAM_RW)));
    let operation = SetMemType { nr: 1, mem_type: HVMMEM_RAM_RW, pad: 0, first_pfn: PAGE };
    let floor = bare(guest, &operation, Vec::new())?;
    Ok(Operation::new("set memory type", ours).c(c).floor(floor))
}

/// An operation with a list.
fn modified_memory(guest: &Rc<BareDomain>) -> Result<Operation> {
    let run = PageRun { first: Gfn::new(PAGE), count: 1 };
    let ours = Side::prepared(
        (DeviceModel::open(guest.id())?, Rc::clone(guest)),
        |_| (),
        move |(model, _)| model.modified_memory(&[run]).expect("told"),
    );
    let c = c::DeviceModel::open(guest.id().get());
    let c = c.map(|c| Side::new(move || c.modified_memory(PAGE)));
    let operation = ModifiedMemory { nr_extents: 1, opaque: 0 };
    let list = vec![ModifiedExtent { nr: 1, pad: 0, first_pfn: PAGE }];
    let floor = bare(guest, &operation, list)?;
    Ok(Operation::new("modified memory", ours).c(c).floor(floor))
}

/// The bare system call. Xen must leave record and list as they are.
fn bare<O: DmOperation>(guest: &Rc<BareDomain>, operation: &O, list: Vec<ModifiedExtent>) -> Result<Side> {
    let file = ForeignMemory::open()?;
    let guest = Rc::clone(guest);
    let record = Box::leak(Box::new(DmOpRecord::new(operation)));
    let list = list.leak();
    let buffer = |bytes: &mut [u8]| DmOpBuf { uptr: bytes.as_mut_ptr() as u64, size: bytes.len() as u64 };
    let num = 1 + u16::from(!list.is_empty());
    let buffers = vec![buffer(record.as_mut_bytes()), buffer(list.as_mut_bytes())].leak();
    let ubufs = buffers.as_mut_ptr() as u64;
    let mut request = DmOp { dom: guest.id().get(), num, padding: 0, ubufs };
    // SAFETY: buffers, record and list are for the rest of the program.
    let mut request = unsafe { Prepared::new(&mut request) };
    Ok(Side::prepared(guest, |_| (), move |_| request.send(file.as_fd())))
}

const PORT: u16 = 0x510;

/// A guest reads a port: from one answer, through the guest, to its next request.
fn round_trip() -> Result<Operation> {
    let ours = Side::prepared(Ours::new()?, |_| (), Ours::answer);
    let c = C::new().map(|c| Side::prepared(c, |_| (), C::answer));
    let floor = Side::prepared(Floor::new()?, |_| (), Floor::answer);
    // When the guest gets the processor is up to Xen; over several requests, that is the same for all.
    Ok(Operation::new("request", ours).repeat(20).c(c).floor(floor))
}

/// What a port reads as.
const VALUE: u64 = 0x1234_5678;

/// By our crate. The server ends before the guest.
struct Ours {
    server: IoreqServer,
    _guest: BareDomain,
}

impl Ours {
    fn new() -> Result<Self> {
        let guest = BareDomain::reading_port(PORT)?;
        let mut server = DeviceModel::open(guest.id())?.create_ioreq_server(Buffering::Off)?;
        server.map_ports(PORT..=PORT + 3)?;
        server.enable()?;
        guest.domain().unpause()?;
        server.wait(None)?;
        Ok(Self { server, _guest: guest })
    }

    fn answer(&mut self) {
        // There may be an event without a request: the first one after the port was bound.
        let request = loop {
            match self.server.next_request() {
                Some(request) => break request,
                None => self.server.wait(None).expect("waited"),
            };
        };
        request.respond(VALUE).expect("answered");
        self.server.wait(None).expect("waited");
    }
}

/// By the C libraries, with a loop as C device models have it.
struct C {
    evtchn: c::Evtchn,
    fd: i32,
    port: u32,
    place: Place,
    _model: c::DeviceModel,
    guest: BareDomain,
}

impl C {
    fn new() -> Result<Self> {
        let guest = BareDomain::reading_port(PORT)?;
        let domain = guest.id().get();
        let model = c::DeviceModel::open(domain)?;
        let server = model.create_ioreq_server()?;
        model.map_ports(server, PORT.into(), u64::from(PORT) + 3)?;
        let memory = c::ForeignMemory::open()?;
        let place = Place(memory.map_requests(domain, server)?);
        std::mem::forget(memory);
        model.enable(server)?;
        let evtchn = c::Evtchn::open()?;
        let port = evtchn.bind_interdomain(domain.into(), place.port())?;
        let mut this = Self { fd: evtchn.fd(), evtchn, port, place, _model: model, guest };
        this.guest.domain().unpause()?;
        this.next();
        Ok(this)
    }

    fn next(&mut self) {
        while !self.place.is_ready() {
            c::wait(self.fd);
            let port = self.evtchn.pending();
            assert_eq!(port, self.port);
            self.evtchn.unmask(port);
        }
    }

    fn answer(&mut self) {
        self.place.answer(VALUE);
        self.evtchn.notify(self.port);
        self.next();
    }
}

/// By nothing but system calls.
struct Floor {
    evtchn: Evtchn,
    notify: Notify,
    place: Place,
    _channel: EventChannel,
    _page: ResourceMapping,
    guest: BareDomain,
}

impl Floor {
    fn new() -> Result<Self> {
        let guest = BareDomain::reading_port(PORT)?;
        let file = ForeignMemory::open()?;
        let mut server = CreateIoreqServer::default();
        file.device().dm_op(guest.id(), &mut server, None)?;
        let (id, start) = (server.id, u64::from(PORT));
        let range = IoRange { id, start, end: start + 3, ..IoRange::default() };
        file.device().dm_op(guest.id(), &mut MapIoRange { range }, None)?;
        let page = file.map_resource(guest.id(), Resource::IoreqServer { id }, 1, 1)?;
        let place = Place(page.page_ptr(0).and_then(NonNull::new).context("a page")?);
        file.device().dm_op(guest.id(), &mut SetIoreqServerState { id, enabled: 1, pad: 0 }, None)?;
        let evtchn = Evtchn::open()?;
        let channel = evtchn.bind_interdomain(guest.id(), Port::new(place.port()))?;
        let notify = Notify { port: channel.port() };
        let mut this = Self { evtchn, notify, place, _channel: channel, _page: page, guest };
        this.guest.domain().unpause()?;
        this.next();
        Ok(this)
    }

    fn next(&mut self) {
        let fd = self.evtchn.as_fd();
        while !self.place.is_ready() {
            let mut port = Port::default();
            floor::wait(fd);
            floor::read(fd, port.as_mut_bytes());
            floor::write(fd, port.as_bytes());
        }
    }

    fn answer(&mut self) {
        self.place.answer(VALUE);
        floor::ioctl(self.evtchn.as_fd(), &mut self.notify);
        self.next();
    }
}

/// The place of the only vCPU in a mapped page of requests.
struct Place(NonNull<u8>);

impl Place {
    /// # Safety
    ///
    /// `T` is an atomic integer that is there, aligned.
    unsafe fn field<T>(&self, offset: usize) -> &T {
        // SAFETY: inside the page.
        let place = unsafe { self.0.add(offset) }.cast();
        // SAFETY: the caller's promise; the page stays mapped for as long as this lives.
        unsafe { place.as_ref() }
    }

    fn port(&self) -> u32 {
        // SAFETY: a field of the record.
        let port: &AtomicU32 = unsafe { self.field(offset_of!(Ioreq, vp_eport)) };
        port.load(Ordering::Relaxed)
    }

    fn is_ready(&self) -> bool {
        // SAFETY: a byte of the record.
        let state: &AtomicU8 = unsafe { self.field(offset_of!(Ioreq, flags)) };
        state.load(Ordering::Acquire) & Ioreq::STATE == IOREQ_READY
    }

    /// Takes the request, which must be there, and answers it.
    fn answer(&self, value: u64) {
        // SAFETY: a byte of the record.
        let state: &AtomicU8 = unsafe { self.field(offset_of!(Ioreq, flags)) };
        let flags = state.load(Ordering::Acquire);
        assert_eq!(flags & Ioreq::STATE, IOREQ_READY);
        // SAFETY: the record is aligned.
        let data: &AtomicU64 = unsafe { self.field(offset_of!(Ioreq, data)) };
        state.store(flags & !Ioreq::STATE | IOREQ_INPROCESS, Ordering::Relaxed);
        data.store(value, Ordering::Relaxed);
        state.store(flags & !Ioreq::STATE | IORESP_READY, Ordering::Release);
    }
}
