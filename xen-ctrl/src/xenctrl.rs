//! The handle.

use xen_call::version::XenVersion;
use xen_call::{Answer, Attempt, Operation, Xencall};
use xen_sys::xen_public::domctl::{Domctl, DomctlCall};
use xen_sys::xen_public::errno::{EACCES, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH};
use xen_sys::xen_public::sysctl::{Sysctl, SysctlCall};
use xen_sys::{DomId, OtherDomain};

use crate::abi::Versions;
use crate::{Abi, Domain, Error, Host};

/// A handle on the hypervisor, for control.
///
/// Threads can share it; hypercalls do not wait for each other here. It must not be used in a child after `fork(2)` if the parent
/// goes on using it, except for what `xen-call` documents.
#[derive(Debug)]
#[doc(alias = "xc_interface")]
#[doc(alias = "xc_interface_close")]
pub struct Xenctrl {
    call: Xencall,
    versions: Versions,
}

impl Xenctrl {
    /// Opens `/dev/xen/privcmd` and finds out which hypervisor this is. Needs root in dom0. Xen 4.14 to 4.22; Linux 5.10+.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if the device cannot be opened or the kernel blocks hypercalls, [`Error::UnknownHypervisor`].
    #[doc(alias = "xc_interface_open")]
    pub fn open() -> Result<Self, Error> {
        Self::new(Xencall::open()?)
    }

    /// Uses an open handle.
    ///
    /// # Errors
    ///
    /// As [`Xenctrl::open`].
    pub fn new(call: Xencall) -> Result<Self, Error> {
        let versions = Versions::detect(&call)?;
        tracing::debug!(xen = %versions.xen, "opened");
        Ok(Self { call, versions })
    }

    /// The hypervisor's version, as it was when the handle was opened.
    #[must_use]
    pub fn version(&self) -> XenVersion {
        self.versions.xen
    }

    /// The versions of the hypervisor and of its interface. The latter are found out when they are first needed: one
    /// hypercall each.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if the kernel blocks hypercalls.
    pub fn abi(&self) -> Result<Abi, Error> {
        let (xen, domctl) = (self.versions.xen, self.domctl_version()?);
        Ok(Abi { xen, domctl, sysctl: self.versions.sysctl(&self.call)? })
    }

    pub(crate) fn domctl_version(&self) -> Result<u32, Error> {
        self.versions.domctl(&self.call)
    }

    /// Whether the hypervisor is at least Xen 4.`minor`.
    pub(crate) fn is_at_least(&self, minor: u16) -> bool {
        self.versions.is_at_least(minor)
    }

    /// The handle for hypercalls, for what this crate does not have.
    #[must_use]
    pub fn xencall(&self) -> &Xencall {
        &self.call
    }

    /// The operations on one domain. Whether there is such a domain shows when one of them is used.
    #[must_use]
    pub fn domain(&self, id: DomId) -> Domain<'_> {
        Domain::new(self, id)
    }

    /// The operations on the host.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        Host::new(self)
    }

    /// Issues an operation on a domain: one hypercall. The answer is the record that Xen wrote.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`], [`Error::Unsupported`], [`Error::Refused`], [`Error::Call`].
    #[doc(alias = "xc_domctl")]
    #[doc(alias = "do_domctl")]
    pub fn domctl<T: Domctl>(&self, domain: DomId, operation: &T) -> Result<T::Record, Error> {
        let Attempt { result, record } = self.attempt_domctl(domain, operation)?;
        result.map(|_| record)
    }

    /// Issues an operation on a domain, and gives back the record even if it fails.
    pub(crate) fn attempt_domctl<T: Domctl>(
        &self,
        domain: DomId,
        operation: &T,
    ) -> Result<Attempt<T::Record, Error>, Error> {
        let call = DomctlCall { version: self.domctl_version()?, domain, operation };
        let Attempt { result, record } = self.attempt(Some(domain), &call)?;
        Ok(Attempt { result, record: DomctlCall::<T>::answer(&record) })
    }

    /// Issues an operation on the host: one hypercall. The answer is the record that Xen wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], [`Error::Unsupported`], [`Error::Refused`], [`Error::Call`].
    #[doc(alias = "xc_sysctl")]
    #[doc(alias = "do_sysctl")]
    pub fn sysctl<T: Sysctl>(&self, operation: &T) -> Result<T::Record, Error> {
        let call = SysctlCall { version: self.versions.sysctl(&self.call)?, operation };
        let answer = self.call(None, &call)?;
        Ok(SysctlCall::<T>::answer(&answer.record))
    }

    /// Issues any other operation: one hypercall. `domain` is the one that it is about, for messages.
    ///
    /// # Errors
    ///
    /// As [`Xenctrl::domctl`].
    #[doc(alias = "do_memory_op")]
    #[doc(alias = "xc_gnttab_op")]
    pub fn call<O: Operation>(
        &self,
        domain: Option<DomId>,
        operation: &O,
    ) -> Result<Answer<O::Record>, Error> {
        let Attempt { result, record } = self.attempt(domain, operation)?;
        Ok(Answer { value: result?, record })
    }

    /// Issues any other operation, and gives back the record even if it fails.
    pub(crate) fn attempt<O: Operation>(
        &self,
        domain: Option<DomId>,
        operation: &O,
    ) -> Result<Attempt<O::Record, Error>, Error> {
        let Attempt { result, record } = self.call.attempt(operation)?;
        Ok(Attempt { result: result.map_err(|error| self.explain(error, domain)), record })
    }

    /// Makes sure that the hypervisor is at least Xen 4.`minor`, which has `operation` first.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], which names both versions.
    pub fn require(&self, operation: &'static str, minor: u16) -> Result<(), Error> {
        if self.is_at_least(minor) {
            return Ok(());
        }
        let needs = Some(XenVersion { major: 4, minor });
        Err(Error::Unsupported { operation, needs, running: self.versions.xen })
    }

    /// Fails for the caller's own domain, with `EINVAL`.
    pub(crate) fn other_domain(&self, id: DomId, operation: &'static str) -> Result<OtherDomain, Error> {
        self.call.other_domain(id)?.ok_or_else(|| Error::refused(operation, Some(id), EINVAL))
    }

    /// Says what an error number means for this operation.
    fn explain(&self, error: xen_call::Error, domain: Option<DomId>) -> Error {
        let xen_call::Error::Hypercall { operation, source } = error else { return error.into() };
        match (source.raw_os_error(), domain) {
            (Some(ESRCH), Some(domain)) => Error::NoSuchDomain { operation, domain },
            // the version was found to be right before
            (Some(EPERM | EACCES), _) => Error::Denied { operation, domain, source },
            (Some(ENOSYS | EOPNOTSUPP), _) => {
                Error::Unsupported { operation, needs: None, running: self.versions.xen }
            }
            _ => Error::Refused { operation, domain, source },
        }
    }
}
