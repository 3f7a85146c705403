//! Pausing, limiting, naming, ending a domain.

use xen_sys::xen_public::domctl::{
    DestroyDomain, MaxMem, MaxVcpus, PauseDomain, ResumeDomain, SetDomainHandle, UnpauseDomain,
};

use super::{Domain, Uuid};
use crate::Error;

impl Domain<'_> {
    /// Stops the domain. Pauses are counted: it runs again after as many [`unpause`](Self::unpause) calls.
    ///
    /// Returns when no vCPU of it runs any more. A domain cannot pause itself.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for the caller's own domain, `EUSERS` after
    /// too many pauses.
    #[doc(alias = "xc_domain_pause")]
    #[doc(alias = "XEN_DOMCTL_pausedomain")]
    pub fn pause(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &PauseDomain)
    }

    /// Takes one [`pause`](Self::pause) back.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for a domain that is not paused.
    #[doc(alias = "xc_domain_unpause")]
    #[doc(alias = "XEN_DOMCTL_unpausedomain")]
    pub fn unpause(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &UnpauseDomain)
    }

    /// Ends the domain and frees what it has. Its number stays taken as long as somebody holds its memory or grants.
    ///
    /// This can take seconds for large domains; Xen does it in pieces, and other vCPUs go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for the caller's own domain.
    #[doc(alias = "xc_domain_destroy")]
    #[doc(alias = "XEN_DOMCTL_destroydomain")]
    pub fn destroy(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &DestroyDomain)
    }

    /// Continues a domain that has shut down, at the place where it did. A guest that did so to suspend is told that it was restored, as
    /// after a migration: [`resume_cancelled`](Self::resume_cancelled) says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "XEN_DOMCTL_resumedomain")]
    pub fn resume(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &ResumeDomain)
    }

    /// Limits the domain's memory, in KiB. What it has already stays.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_setmaxmem")]
    #[doc(alias = "XEN_DOMCTL_max_mem")]
    pub fn set_max_memory(&self, kib: u64) -> Result<(), Error> {
        self.xen.domctl(self.id, &MaxMem { max_memkb: kib }).map(drop)
    }

    /// Makes the vCPUs of a new domain, as many as it was created for.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for another number than at its creation, 0, or the
    /// caller's own domain; with `ENOMEM`.
    #[doc(alias = "xc_domain_max_vcpus")]
    #[doc(alias = "XEN_DOMCTL_max_vcpus")]
    pub fn set_max_vcpus(&self, count: u32) -> Result<(), Error> {
        self.xen.domctl(self.id, &MaxVcpus { max: count }).map(drop)
    }

    /// Gives the domain another UUID.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_sethandle")]
    #[doc(alias = "XEN_DOMCTL_setdomainhandle")]
    pub fn set_uuid(&self, uuid: Uuid) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetDomainHandle { handle: uuid.0 }).map(drop)
    }
}
