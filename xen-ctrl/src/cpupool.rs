//! Cpupools: CPUs and domains that belong together, with a scheduler.

use xen_sys::DomId;
use xen_sys::xen_public::errno::{EAGAIN, EBUSY, ENOENT};
use xen_sys::xen_public::sysctl::{
    CPUPOOL_ADDCPU, CPUPOOL_ANY, CPUPOOL_CREATE, CPUPOOL_DESTROY, CPUPOOL_FREEINFO, CPUPOOL_INFO,
    CPUPOOL_MOVEDOMAIN, CPUPOOL_RMCPU, CpupoolOp, CpupoolRecord, Sysctl,
};

use crate::patience::patiently;
use crate::sched::Scheduler;
use crate::{CpuMap, Error, Xenctrl};

/// How often an operation is tried that Xen is too busy for: half a second in all.
const TRIES: u32 = 50;

/// What is known of a cpupool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_cpupoolinfo_t")]
pub struct CpuPoolInfo {
    /// Its number; the first one has 0.
    pub id: u32,
    /// Its scheduler.
    pub scheduler: Scheduler,
    /// How many domains are in it, those included that are destroyed but not freed yet.
    pub domains: u32,
    /// Its CPUs.
    pub cpus: CpuMap,
}

/// A cpupool, by its number: what can be asked of it and done with it. Every domain and every CPU is in one at most.
#[derive(Clone, Copy, Debug)]
pub struct CpuPool<'a> {
    pub(crate) xen: &'a Xenctrl,
    pub(crate) id: u32,
}

impl Xenctrl {
    /// The operations on one cpupool. Whether there is such a cpupool shows when one of them is used.
    #[must_use]
    pub fn cpupool(&self, id: u32) -> CpuPool<'_> {
        CpuPool { xen: self, id }
    }

    /// What is known of all cpupools, in the order of their numbers. One hypercall for each, and two.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpupool_getinfo")]
    pub fn cpupools(&self) -> Result<Vec<CpuPoolInfo>, Error> {
        let mut pools = Vec::new();
        let mut next = Some(0);
        while let Some(first) = next {
            let Some(info) = self.first_cpupool(first)? else { break };
            next = info.id.checked_add(1);
            pools.push(info);
        }
        Ok(pools)
    }

    /// Makes a cpupool, without CPUs. Xen chooses its number, if `id` is not given. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `EEXIST` if the number is taken, with `ENOSPC` if there are too many for the
    /// host's CPUs already, with `ENOENT` if this hypervisor was built without the scheduler, with `ENOMEM`.
    #[doc(alias = "xc_cpupool_create")]
    #[doc(alias = "XEN_SYSCTL_cpupool_op")]
    pub fn create_cpupool(&self, scheduler: Scheduler, id: Option<u32>) -> Result<CpuPool<'_>, Error> {
        let operation = CpupoolOp {
            op: CPUPOOL_CREATE,
            cpupool: id.unwrap_or(CPUPOOL_ANY),
            scheduler: scheduler.number(),
            ..CpupoolOp::default()
        };
        Ok(self.cpupool(self.sysctl(&operation)?.cpupool_id))
    }

    /// The CPUs that are on and in no cpupool. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpupool_freeinfo")]
    pub fn free_cpus(&self) -> Result<CpuMap, Error> {
        let (_, cpus) = self.ask(CPUPOOL_FREEINFO, 0)?;
        Ok(cpus)
    }

    /// The first cpupool that has this number or a higher one.
    fn first_cpupool(&self, id: u32) -> Result<Option<CpuPoolInfo>, Error> {
        match self.ask(CPUPOOL_INFO, id) {
            Ok((record, cpus)) => Ok(Some(CpuPoolInfo {
                id: record.cpupool_id,
                scheduler: Scheduler::from_number(record.sched_id),
                domains: record.n_dom,
                cpus,
            })),
            Err(error) if error.errno() == Some(ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An operation that tells of CPUs.
    fn ask(&self, op: u32, cpupool: u32) -> Result<(CpupoolRecord, CpuMap), Error> {
        let mut cpus = self.xencall().zeroed_buffer::<u8>(CpuMap::bytes_of_host(self)?)?;
        let record = self.sysctl(&CpupoolOp { op, cpupool, cpus: cpus.lend(), ..CpupoolOp::default() })?;
        Ok((record, CpuMap::from_bytes(&cpus)))
    }
}

impl CpuPool<'_> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What is known of it. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if there is no such cpupool; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpupool_getinfo")]
    pub fn info(&self) -> Result<CpuPoolInfo, Error> {
        // a number that is not used gives the next cpupool
        let info = self.xen.first_cpupool(self.id)?.filter(|info| info.id == self.id);
        info.ok_or_else(|| Error::refused(CpupoolOp::COMMAND.name, None, ENOENT))
    }

    /// Ends it. Its CPUs are free then. One hypercall, repeated for half a second at most while Xen is busy.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if there is no such cpupool, with `EBUSY` while there are domains in
    /// it, or one that was there is not gone yet.
    #[doc(alias = "xc_cpupool_destroy")]
    pub fn destroy(&self) -> Result<(), Error> {
        self.change(&CpupoolOp { op: CPUPOOL_DESTROY, ..self.operation() })
    }

    /// Gives it a CPU that is free ([`Xenctrl::free_cpus`]). One hypercall, repeated for half a second at most while Xen is busy.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if there is no such cpupool, with `EINVAL` if there is no such CPU, with
    /// `ENODEV` if it is not free, with `EADDRNOTAVAIL` if it was being taken from another cpupool, and that has to be repeated.
    #[doc(alias = "xc_cpupool_addcpu")]
    pub fn add_cpu(&self, cpu: u32) -> Result<(), Error> {
        self.change(&CpupoolOp { op: CPUPOOL_ADDCPU, cpu, ..self.operation() })
    }

    /// Takes a CPU from it, which is free then. One hypercall, repeated for half a second at most while Xen is busy.
    ///
    /// **Hypervisors have been seen to panic or hang here**: 4.14 and 4.17 right after a domain was destroyed whose vCPU was on the CPU;
    /// 4.17 and 4.20, now and then, for a cpupool of [`Scheduler::Credit`]; 4.14 and 4.17 for the last CPU of one of
    /// [`Scheduler::Rtds`].
    ///
    /// # Errors
    ///
    /// As [`add_cpu`](Self::add_cpu); [`Error::Refused`] with `ENODEV` or `EADDRNOTAVAIL` if the CPU is not its, with `EBUSY` or
    /// `EINVAL` if it is the last one of a cpupool with domains, with `EADDRINUSE` while the hardware domain holds a vCPU there,
    /// with `EAGAIN` if it did not get free: then nothing else can be done with this CPU, until this operation has been repeated.
    #[doc(alias = "xc_cpupool_removecpu")]
    pub fn remove_cpu(&self, cpu: u32) -> Result<(), Error> {
        self.change(&CpupoolOp { op: CPUPOOL_RMCPU, cpu, ..self.operation() })
    }

    /// Moves a domain to it. One hypercall, repeated for half a second at most while Xen is busy.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if there is no such cpupool or it has no CPU, with `ESRCH` or `EINVAL`
    /// if there is no such domain.
    #[doc(alias = "xc_cpupool_movedomain")]
    pub fn move_domain(&self, domain: DomId) -> Result<(), Error> {
        let domain = domain.get().into();
        self.change(&CpupoolOp { op: CPUPOOL_MOVEDOMAIN, domain, ..self.operation() })
    }

    fn operation(&self) -> CpupoolOp<'static> {
        CpupoolOp { cpupool: self.id, ..CpupoolOp::default() }
    }

    /// Tries again while Xen is busy: a domain is being destroyed, or the CPU does something for Xen itself.
    fn change(&self, operation: &CpupoolOp<'_>) -> Result<(), Error> {
        patiently(TRIES, &[EAGAIN, EBUSY], || self.xen.sysctl(operation).map(drop))
    }
}
