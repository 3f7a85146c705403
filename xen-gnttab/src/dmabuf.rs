//! Grants as dma-bufs, and dma-bufs as grants: how a display backend hands a guest's frame buffer to the GPU without a
//! copy.
#![expect(unsafe_code, reason = "takes over the descriptor of an exported dma-buf")]

use crate::device::kernel_keeps_grants_from_children;
use crate::{Error, Gnttab};
use bitflags::bitflags;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;
use xen_sys::linux::gntdev::{DmabufExpFromRefs, DmabufExpWaitReleased, DmabufImpRelease, DmabufImpToRefs};
use xen_sys::xen_public::errno::{EINVAL, ENOENT, ENOTTY};
use xen_sys::{DomId, GrantRef};

bitflags! {
    /// How the pages of an exported dma-buf are cached. One of the two at most.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DmabufFlags: u32 {
        /// Write-combined.
        #[doc(alias = "GNTDEV_DMA_FLAG_WC")]
        const WRITE_COMBINED = DmabufExpFromRefs::WRITE_COMBINED;
        /// Coherent.
        #[doc(alias = "GNTDEV_DMA_FLAG_COHERENT")]
        const COHERENT = DmabufExpFromRefs::COHERENT;
    }
}

impl Gnttab {
    /// Makes a dma-buf of another domain's pages.
    ///
    /// Needs a kernel with `CONFIG_XEN_GNTDEV_DMABUF` (Linux 4.19+), and an auto-translated domain (HVM, PVH, Arm).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the kernel or the domain cannot; [`Error::Dmabuf`]: `EINVAL` both flags, no references
    /// or more than `xen_gntdev.limit`, or a grant that cannot be mapped; `ENOMEM`.
    #[doc(alias = "xengnttab_dmabuf_exp_from_refs")]
    #[doc(alias = "IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS")]
    pub fn export_dmabuf(
        &self,
        domain: DomId,
        references: &[GrantRef],
        flags: DmabufFlags,
    ) -> Result<ExportedDmabuf, Error> {
        let number = DmabufExpFromRefs::with(flags.bits(), domain, references, |request| {
            self.device().submit(request).map(|_| request.fd())
        });
        let number = number.map_err(|source| {
            if source.raw_os_error() == Some(EINVAL) && kernel_keeps_grants_from_children() {
                Error::Unsupported {
                    operation: "exporting grants as a dma-buf",
                    needs: "an auto-translated domain (HVM, PVH or Arm), not a PV one",
                }
            } else {
                failed("exporting grants as a dma-buf", source)
            }
        })?;
        // SAFETY: the kernel made this descriptor for us in the call above.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(ExportedDmabuf { gnttab: self.clone(), fd: Some(fd), number })
    }

    /// Grants the pages of a dma-buf to another domain. `count` must be its exact size in pages.
    ///
    /// Needs a kernel with `CONFIG_XEN_GNTDEV_DMABUF` (Linux 4.19+).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the kernel cannot; [`Error::Dmabuf`]: `EINVAL` the size is not `count` pages, or the
    /// pages are no memory that can be granted; `EBADF` it is no dma-buf.
    #[doc(alias = "xengnttab_dmabuf_imp_to_refs")]
    #[doc(alias = "IOCTL_GNTDEV_DMABUF_IMP_TO_REFS")]
    pub fn import_dmabuf(
        &self,
        dmabuf: BorrowedFd<'_>,
        domain: DomId,
        count: u32,
    ) -> Result<ImportedDmabuf, Error> {
        let call = "granting the pages of a dma-buf";
        // The kernel knows an import by its descriptor's number: a descriptor of our own keeps that unique.
        let fd = dmabuf.try_clone_to_owned().map_err(|source| failed(call, source))?;
        let references = DmabufImpToRefs::with(dmabuf_of(&fd), count, domain, |request| {
            self.device().submit(request).map(|_| request.references().to_vec())
        });
        let references = references.map_err(|source| failed(call, source))?;
        Ok(ImportedDmabuf { gnttab: self.clone(), fd, references })
    }
}

fn dmabuf_of(fd: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

/// Another domain's pages as a dma-buf. They stay mapped until nobody uses the dma-buf any more.
#[derive(Debug)]
pub struct ExportedDmabuf {
    gnttab: Gnttab,
    fd: Option<OwnedFd>,
    number: i32,
}

impl ExportedDmabuf {
    /// Takes the dma-buf's descriptor, to hand it on; `None` the second time.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fd.take()
    }

    /// Closes our descriptor, unless it was taken, and waits until nobody uses the dma-buf any more; false when the time
    /// is up. Signals do not end the wait, which is counted in milliseconds, at most 49 days of them.
    ///
    /// # Errors
    ///
    /// [`Error::Dmabuf`] for what the kernel refuses.
    #[doc(alias = "xengnttab_dmabuf_exp_wait_released")]
    #[doc(alias = "IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED")]
    pub fn wait_released(&mut self, timeout: Duration) -> Result<bool, Error> {
        drop(self.fd.take());
        let wait_to_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let outcome = self.gnttab.device().submit(&mut DmabufExpWaitReleased { fd: self.number, wait_to_ms });
        match outcome {
            Ok(_) => Ok(true),
            // It is gone already.
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(true),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(false),
            Err(source) => Err(failed("waiting for the release of a dma-buf", source)),
        }
    }
}

/// A dma-buf whose pages are granted to another domain. Dropping it ends the grants.
#[derive(Debug)]
#[must_use = "dropping it ends the grants"]
pub struct ImportedDmabuf {
    gnttab: Gnttab,
    fd: OwnedFd,
    references: Vec<GrantRef>,
}

impl ImportedDmabuf {
    /// The references of the granted pages, in order.
    #[must_use]
    pub fn grants(&self) -> &[GrantRef] {
        &self.references
    }
}

impl Drop for ImportedDmabuf {
    #[doc(alias = "xengnttab_dmabuf_imp_release")]
    #[doc(alias = "IOCTL_GNTDEV_DMABUF_IMP_RELEASE")]
    fn drop(&mut self) {
        let mut request = DmabufImpRelease { fd: self.fd.as_raw_fd(), reserved: 0 };
        if let Err(error) = self.gnttab.device().submit(&mut request) {
            tracing::warn!(%error, "grants of a dma-buf leaked");
        }
    }
}

fn failed(call: &'static str, source: io::Error) -> Error {
    if source.raw_os_error() == Some(ENOTTY) {
        Error::Unsupported { operation: call, needs: "a kernel with CONFIG_XEN_GNTDEV_DMABUF" }
    } else {
        Error::Dmabuf { call, source }
    }
}
