//! The list of all domains.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use core::marker::PhantomData;

use super::Sysctl;
use crate::xen_public::domctl::DomainInfoRecord;
use crate::xen_public::layout;
use crate::xen_public::operation::{Command, GuestMemory, command};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_sysctl_getdomaininfolist`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_getdomaininfolist")]
pub struct GetDomainInfoListRecord {
    /// The list begins with the first domain that has this number or a higher one.
    pub first_domain: u16,
    /// Zero.
    pub pad: u16,
    /// How many at most.
    pub max_domains: u32,
    /// Address of the answers.
    pub buffer: u64,
    /// Answer: how many there are in it.
    pub num_domains: u32,
    /// Zero.
    pub pad2: u32,
}
layout!(
    GetDomainInfoListRecord = "struct xen_sysctl_getdomaininfolist", 24,
    first_domain @ 0, max_domains @ 4, buffer @ 8, num_domains @ 16,
);

/// Fills memory with what is known of many domains, in the order of their numbers. The record's form is that of the *domctl*
/// interface.
#[derive(Debug)]
pub struct GetDomainInfoList<'a, R> {
    first: u16,
    into: GuestMemory<'a>,
    _record: PhantomData<R>,
}

impl<'a, R: DomainInfoRecord> GetDomainInfoList<'a, R> {
    /// As many as find room in `into`, from domain number `first` on.
    #[must_use]
    pub fn new(first: u16, into: GuestMemory<'a>) -> Self {
        Self { first, into, _record: PhantomData }
    }
}

// SAFETY: Xen writes at most `max_domains` records, which is what the memory has room for.
unsafe impl<R: DomainInfoRecord> Sysctl for GetDomainInfoList<'_, R> {
    const COMMAND: Command = command!("XEN_SYSCTL_getdomaininfolist" = 6);
    type Record = GetDomainInfoListRecord;

    fn record(&self) -> GetDomainInfoListRecord {
        GetDomainInfoListRecord {
            first_domain: self.first,
            pad: 0,
            max_domains: self.into.room::<R>(),
            buffer: self.into.address(),
            num_domains: 0,
            pad2: 0,
        }
    }
}
