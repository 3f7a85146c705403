//! Hypercalls.

use crate::operation::{Operation, Side};
use crate::{c, floor};
use anyhow::Result;
use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use xen_call::{HypercallBuffer, Multicall, Ticket, Xencall, version};
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind, DomainList};
use xen_ctrl::{DomId, Xenctrl};
use xen_sys::xen_public::domctl::{DomainInfo414, DomainInfo416, DomctlCall};
use xen_sys::xen_public::sysctl::{GetDomainInfoList, ReadConsole, SysctlCall};
use xen_sys::xen_public::version::{FeatureInfo, Version};
use xen_sys::zerocopy::{FromBytes, FromZeros, IntoBytes};

pub(super) fn operations() -> Result<Vec<Operation>> {
    let xen: &'static Xenctrl = Box::leak(Box::new(Xenctrl::open()?));
    let mut operations = vec![version()?, features()?, multicall(100)?, info(xen)?, console(xen)?];
    let population = Rc::new(RefCell::new(Vec::new()));
    for count in [1, 50, 200] {
        operations.push(list(xen, &population, count)?);
    }
    Ok(operations)
}

/// A hypercall without memory.
fn version() -> Result<Operation> {
    let xencall = Xencall::open()?;
    let floor = floor::hypercall(&xencall, &Version)?;
    let ours = Side::new(move || {
        black_box(version::version(&xencall).expect("a version"));
    });
    let c = c::Call::open().map(|c| {
        Side::new(move || {
            black_box(c.version());
        })
    });
    Ok(Operation::new("version", ours).c(c).floor(floor))
}

const FEATURES: FeatureInfo = FeatureInfo { submap_idx: 0, submap: 0 };

/// A hypercall with a small record.
fn features() -> Result<Operation> {
    let xencall = Xencall::open()?;
    let floor = floor::hypercall(&xencall, &FEATURES)?;
    let ours = Side::new(move || {
        black_box(version::features(&xencall, 0).expect("features"));
    });
    let c = c::Ctrl::open().map(|c| {
        Side::new(move || {
            black_box(c.features(0));
        })
    });
    Ok(Operation::new("features", ours).c(c).floor(floor))
}

/// Many of these: in one system call by us, in one each by C, which has no way to say it otherwise.
fn multicall(count: u32) -> Result<Operation> {
    let xencall = Xencall::open()?;
    let floor = floor::multicall(&xencall, &vec![FEATURES; count as usize])?;
    let ours = Side::new(move || {
        let mut calls = Multicall::new(&xencall);
        calls.reserve(count as usize);
        let mut tickets: Vec<Ticket<FeatureInfo>> = Vec::with_capacity(count as usize);
        tickets.extend((0..count).map(|_| calls.push(FEATURES).expect("pushed")));
        let mut answers = calls.issue().expect("issued");
        for ticket in tickets {
            answers.take(ticket).expect("features");
        }
    });
    let c = c::Ctrl::open().map(|c| {
        Side::new(move || {
            for _ in 0..count {
                c.features(0);
            }
        })
    });
    Ok(Operation::new(format!("{count} x features"), ours).units(count).c(c).floor(floor))
}

fn info(xen: &'static Xenctrl) -> Result<Operation> {
    let version = xen.abi()?.domctl;
    let floor = if xen.require("a longer record", 16).is_ok() {
        let operation = Box::leak(Box::new(DomainInfo416::new_zeroed()));
        floor::hypercall(xen.xencall(), &DomctlCall { version, domain: DomId::ZERO, operation })?
    } else {
        let operation = Box::leak(Box::new(DomainInfo414::new_zeroed()));
        floor::hypercall(xen.xencall(), &DomctlCall { version, domain: DomId::ZERO, operation })?
    };
    let ours = Side::new(|| {
        black_box(xen.domain(DomId::ZERO).info().expect("dom0"));
    });
    let c = c::Ctrl::open().map(|c| {
        Side::new(move || {
            black_box(c.domain_info(0));
        })
    });
    Ok(Operation::new("domain info", ours).c(c).floor(floor))
}

/// Memory that Xen can write for the rest of the program.
fn buffer<T: FromBytes + IntoBytes + 'static>(
    xencall: &Xencall,
    count: usize,
) -> Result<&'static mut HypercallBuffer<[T]>> {
    Ok(Box::leak(Box::new(xencall.zeroed_buffer(count)?)))
}

/// The whole ring of the hypervisor's console: 16 KiB.
fn console(xen: &'static Xenctrl) -> Result<Operation> {
    const RING: usize = 16 << 10;
    let into = buffer::<u8>(xen.xencall(), RING)?.lend();
    let operation = Box::leak(Box::new(ReadConsole { clear: false, from: None, into }));
    let floor = floor::hypercall(xen.xencall(), &SysctlCall { version: xen.abi()?.sysctl, operation })?;
    let ours = Side::new(|| drop(xen.host().read_console().expect("text")));
    let c = c::Ctrl::open().map(|c| {
        Side::new(move || {
            let mut text = vec![0; RING];
            let length = c.read_console(&mut text);
            text.truncate(length);
        })
    });
    Ok(Operation::new("console of 16 KiB", ours).c(c).floor(floor))
}

/// Domains that are there for the list.
type Population = Rc<RefCell<Vec<CreatedDomain<'static>>>>;

/// Sees to it that there are `count` domains, dom0 among them.
fn populate(xen: &'static Xenctrl, population: &Population, count: usize) {
    let mut population = population.borrow_mut();
    let kind = if cfg!(target_arch = "x86_64") { DomainKind::Pv } else { DomainKind::Hvm };
    let options = CreateDomain::new(kind).max_grant_frames(1).max_maptrack_frames(0);
    while 1 + population.len() < count {
        population.push(xen.create_domain(&options).expect("another domain"));
    }
}

/// The list of all domains, of which there are `count`. The room for them is for 256, as nobody knows how many there are.
fn list(xen: &'static Xenctrl, population: &Population, count: u32) -> Result<Operation> {
    const ROOM: usize = 256;
    let expected = count as usize;
    let xencall = xen.xencall();
    let version = xen.abi()?.sysctl;
    let floor = if xen.require("a longer record", 16).is_ok() {
        let list = GetDomainInfoList::<DomainInfo416>::new(0, buffer::<DomainInfo416>(xencall, ROOM)?.lend());
        floor::hypercall(xencall, &SysctlCall { version, operation: Box::leak(Box::new(list)) })?
    } else {
        let list = GetDomainInfoList::<DomainInfo414>::new(0, buffer::<DomainInfo414>(xencall, ROOM)?.lend());
        floor::hypercall(xencall, &SysctlCall { version, operation: Box::leak(Box::new(list)) })?
    };
    let population = Rc::clone(population);
    let ours = Side::prepared(
        DomainList::new(xen)?,
        move |_| populate(xen, &population, expected),
        move |list| assert_eq!(list.read().expect("the list").len(), expected),
    );
    let c = c::Ctrl::open().map(|c| {
        let mut records = c::DomainRecords::new(ROOM);
        Side::new(move || assert_eq!(c.domains(&mut records), expected))
    });
    let domains = if count == 1 { "domain" } else { "domains" };
    Ok(Operation::new(format!("list of {count} {domains}"), ours).units(count).c(c).floor(floor))
}
