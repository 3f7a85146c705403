//! The list of all domains.

use xen_call::HypercallBuffer;
use xen_sys::xen_public::domctl::{DomainInfo414, DomainInfo416, DomainInfoRecord};
use xen_sys::xen_public::sysctl::GetDomainInfoList;

use super::DomainInfo;
use crate::{Error, Xenctrl};

/// How many domains one hypercall tells of.
const BATCH: usize = 256;

/// Memory for the list of all domains, for programs that read it again and again.
#[derive(Debug)]
pub struct DomainList<'a> {
    xen: &'a Xenctrl,
    records: Records,
}

/// The list's form depends on the hypervisor.
#[derive(Debug)]
enum Records {
    Xen414(HypercallBuffer<[DomainInfo414]>),
    Xen416(HypercallBuffer<[DomainInfo416]>),
}

impl<'a> DomainList<'a> {
    /// Memory for 256 domains at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if there is no memory.
    pub fn new(xen: &'a Xenctrl) -> Result<Self, Error> {
        let call = xen.xencall();
        let records = if xen.is_at_least(16) {
            Records::Xen416(call.zeroed_buffer(BATCH)?)
        } else {
            Records::Xen414(call.zeroed_buffer(BATCH)?)
        };
        Ok(Self { xen, records })
    }

    /// Reads the list, in the order of the domains' numbers. One hypercall for every 256 domains.
    ///
    /// Domains that come and go meanwhile may be in it or not; those that stay are in it, once.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`].
    #[doc(alias = "xc_domain_getinfolist")]
    #[doc(alias = "XEN_SYSCTL_getdomaininfolist")]
    pub fn read(&mut self) -> Result<Vec<DomainInfo>, Error> {
        match &mut self.records {
            Records::Xen414(records) => read(self.xen, records),
            Records::Xen416(records) => read(self.xen, records),
        }
    }
}

fn read<R: DomainInfoRecord>(
    xen: &Xenctrl,
    records: &mut HypercallBuffer<[R]>,
) -> Result<Vec<DomainInfo>, Error> {
    let mut domains = Vec::new();
    let mut first = 0;
    loop {
        let answer = xen.sysctl(&GetDomainInfoList::<R>::new(first, records.lend()))?;
        let count = usize::try_from(answer.num_domains).unwrap_or(usize::MAX).min(records.len());
        domains.reserve(count);
        domains.extend(records[..count].iter().filter_map(DomainInfo::from_record));
        match records[..count].last() {
            Some(last) if count == records.len() => first = last.head().domain.saturating_add(1),
            _ => return Ok(domains),
        }
    }
}

impl Xenctrl {
    /// What is known of all domains, in the order of their numbers. One hypercall for every 256 domains; [`DomainList`] keeps the
    /// memory for the next time.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_domain_getinfolist")]
    pub fn domains(&self) -> Result<Vec<DomainInfo>, Error> {
        DomainList::new(self)?.read()
    }
}
