//! Where the guest of an HVM domain sees memory and ports of the host's devices.

use std::io;

use xen_sys::xen_public::domctl::{
    ADD_MAPPING, IoportMapping, MapDeviceMemory, MemoryMapping, REMOVE_MAPPING,
};
use xen_sys::xen_public::errno::E2BIG;
use xen_sys::xen_public::operation::Operation;
use xen_sys::{Gfn, Mfn};

use super::Passthrough;
use crate::Error;

const MEMORY_MAPPING: &str = MapDeviceMemory::NAME;

/// An operation on a range of frames stopped.
struct Stopped {
    /// How many frames were done.
    done: u64,
    /// How many were tried, those included.
    tried: u64,
    /// Why not the next one.
    error: Error,
}

impl Passthrough<'_> {
    /// Maps `count` frames of the host's, from `frames` on, which are no memory but devices, to the guest's `at` and behind. What lay there
    /// is no longer there. The domain must have been [permitted](Self::set_memory_permission) to use them. Of a PV domain nothing
    /// changes. As many hypercalls as Xen wants: one for 64 frames.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if caller or domain may not use them; [`Error::Refused`] with `EINVAL` for
    /// none, or for more than addresses reach, and for the caller's own domain; with `ENOMEM`, on Arm `ENOENT`, if there is no memory
    /// for page tables ([`set_paging_memory`](crate::Domain::set_paging_memory)); and others.
    /// [`Error::Incomplete`] if that came up behind the first frames. **In every case nothing stays mapped.**
    #[doc(alias = "xc_domain_memory_mapping")]
    #[doc(alias = "XEN_DOMCTL_memory_mapping")]
    #[doc(alias = "DPCI_ADD_MAPPING")]
    pub fn map_memory(&self, at: Gfn, frames: Mfn, count: u64) -> Result<(), Error> {
        let stopped = match self.change(at, frames, count, ADD_MAPPING) {
            Ok(()) => return Ok(()),
            Err(stopped) => stopped,
        };
        // on Arm, a part that fails may have been begun; on x86, Xen counts each frame
        let reach = if cfg!(target_arch = "aarch64") { stopped.tried } else { stopped.done };
        if stopped.done > 0 {
            self.undo(at, frames, reach);
        }
        Err(self.after(&stopped.error, stopped.done, count).unwrap_or(stopped.error))
    }

    /// Takes away what [`map_memory`](Self::map_memory) mapped.
    ///
    /// # Errors
    ///
    /// As [`map_memory`](Self::map_memory); [`Error::Incomplete`]: the first frames are gone, the one behind them was not mapped.
    #[doc(alias = "xc_domain_memory_mapping")]
    #[doc(alias = "DPCI_REMOVE_MAPPING")]
    pub fn unmap_memory(&self, at: Gfn, frames: Mfn, count: u64) -> Result<(), Error> {
        self.change(at, frames, count, REMOVE_MAPPING)
            .map_err(|stopped| self.after(&stopped.error, stopped.done, count).unwrap_or(stopped.error))
    }

    /// Maps `count` I/O ports of the host's, from `ports` on, to the guest's `at` and behind, and permits the domain to use them. On x86.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller may not use them; [`Error::Unsupported`] for a PV domain, and on
    /// Arm; [`Error::Refused`] with `EINVAL` for none, or for ports above 65535; with `ENOMEM`.
    #[doc(alias = "xc_domain_ioport_mapping")]
    #[doc(alias = "XEN_DOMCTL_ioport_mapping")]
    pub fn map_ports(&self, at: u16, ports: u16, count: u32) -> Result<(), Error> {
        self.change_ports(at, ports, count, ADD_MAPPING)
    }

    /// Takes away what [`map_ports`](Self::map_ports) mapped, with the permission. Nothing happens if there is no such mapping.
    ///
    /// # Errors
    ///
    /// As [`map_ports`](Self::map_ports).
    #[doc(alias = "xc_domain_ioport_mapping")]
    pub fn unmap_ports(&self, at: u16, ports: u16, count: u32) -> Result<(), Error> {
        self.change_ports(at, ports, count, REMOVE_MAPPING)
    }

    fn change_ports(&self, at: u16, ports: u16, count: u32, add_mapping: u32) -> Result<(), Error> {
        let mapping =
            IoportMapping { first_gport: at.into(), first_mport: ports.into(), nr_ports: count, add_mapping };
        self.xen.domctl(self.id, &mapping).map(drop)
    }

    fn undo(&self, at: Gfn, frames: Mfn, count: u64) {
        if let Err(Stopped { error, .. }) = self.change(at, frames, count, REMOVE_MAPPING) {
            tracing::warn!(domain = %self.id, %at, frames = count, %error, "memory of a device stays mapped");
        }
    }

    /// Maps or unmaps frames in parts, as large as Xen takes them, until all are done or one cannot be.
    fn change(&self, at: Gfn, frames: Mfn, count: u64, add_mapping: u32) -> Result<(), Stopped> {
        let mut done = 0;
        let mut part = count;
        loop {
            let wanted = part.min(count - done);
            let mapping = MemoryMapping {
                first_gfn: at.get().wrapping_add(done),
                first_mfn: frames.get().wrapping_add(done),
                nr_mfns: wanted,
                add_mapping,
                padding: 0,
            };
            match self.change_part(mapping) {
                Ok(progress) => done += progress,
                Err(error) if error.errno() == Some(E2BIG) && part > 1 => part /= 2,
                Err(error) => return Err(Stopped { done, tried: done + wanted, error }),
            }
            if done == count {
                return Ok(());
            }
        }
    }

    /// How many frames of this part Xen has done, at least one if there are any.
    fn change_part(&self, mapping: MemoryMapping) -> Result<u64, Error> {
        let domain = self.xen.other_domain(self.id, MEMORY_MAPPING)?;
        let operation = MapDeviceMemory { version: self.xen.domctl_version()?, domain, mapping };
        let answer = self.xen.call(Some(self.id), &operation)?;
        Ok(match answer.value.unsigned_abs() {
            0 => mapping.nr_mfns,
            progress => progress.min(mapping.nr_mfns),
        })
    }

    /// The error that says how far it came, if it came anywhere.
    fn after(&self, error: &Error, done: u64, asked: u64) -> Option<Error> {
        let number = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX);
        let source = error.errno().map(io::Error::from_raw_os_error);
        (done > 0).then_some(Error::Incomplete {
            operation: MEMORY_MAPPING,
            domain: Some(self.id),
            done: number(done),
            asked: number(asked),
            source,
        })
    }
}
