//! What the checks run on.

use std::env::consts::ARCH;
use std::fmt;
use std::fs;
use std::io;

use xen_call::{Xencall, version};
use xen_evtchn::DomId;
use xen_sys::linux::own_domain;
use xen_sys::xen_public::errno::{EACCES, EPERM, ESRCH};

use super::Skipped;
use crate::xenstore::{Tree, Xenstore};

/// The hypervisor, the kernel, this domain, and perhaps another one.
pub(super) struct Machine {
    /// This domain's own number, which xenstore tells.
    own: Option<DomId>,
    /// Another domain that runs beside this one, if this one may know.
    neighbour: Option<DomId>,
    /// Whether the kernel lets no hypercalls out of this domain.
    locked: bool,
    /// Whether this domain may do what toolstacks do.
    privileged: bool,
    /// `PV`, `HVM` or `PVH`, as the kernel calls it.
    kind: String,
}

impl Machine {
    pub(super) fn find() -> Self {
        let mut store = Xenstore::open().ok();
        let own = store.as_mut().and_then(|store| store.read("domid").ok()?.parse().ok());
        let domains = store.and_then(|mut store| store.directory("/local/domain").ok()).unwrap_or_default();
        let mut others = domains.iter().filter_map(|domain| domain.parse().ok());
        let neighbour = others.find(|&domain| Some(domain) != own && domain != DomId::ZERO);
        let version = Xencall::open().and_then(|xencall| version::version(&xencall));
        let locked = matches!(version, Err(xen_call::Error::LockedDown { .. }));
        let kind = sysfs("guest_type").unwrap_or_else(|| "unknown".into());
        Self { own, neighbour, locked, privileged: own_domain::is_initial(), kind }
    }

    /// This domain's number, or why a check that needs it is skipped.
    pub(super) fn own(&self) -> Result<DomId, Skipped> {
        self.own.ok_or_else(|| Skipped("xenstore does not tell this domain's number".into()))
    }

    /// Another domain, or why a check that needs one is skipped.
    pub(super) fn neighbour(&self) -> Result<DomId, Skipped> {
        self.may_issue_hypercalls()?;
        self.neighbour.ok_or_else(|| Skipped("no guest runs beside this domain".into()))
    }

    /// Whether an error says that there is no such domain, or that this one may not even ask.
    pub(super) fn is_denied_or_nobody(&self, error: &io::Error) -> bool {
        match error.raw_os_error() {
            Some(ESRCH) => true,
            Some(EPERM | EACCES) => !self.privileged,
            _ => false,
        }
    }

    /// An error if the kernel keeps hypercalls in.
    pub(super) fn may_issue_hypercalls(&self) -> Result<(), Skipped> {
        if self.locked {
            let reason =
                "this kernel lets no hypercalls out of the domain (boot with xen_privcmd.unrestricted=1)";
            return Err(Skipped(reason.into()));
        }
        Ok(())
    }

    /// An error where mapping a grant would do harm.
    pub(super) fn may_map_grants(&self) -> Result<(), Skipped> {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if ARCH == "x86_64" && !self.is_pv() && cpu.contains("QEMU TCG") {
            let reason =
                "QEMU's emulation of nested page tables corrupts the memory of guests that map grants";
            return Err(Skipped(reason.into()));
        }
        Ok(())
    }

    pub(super) fn is_pv(&self) -> bool {
        self.kind == "PV"
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str| sysfs(&format!("version/{name}")).unwrap_or_else(|| "?".into());
        let linux = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        write!(f, "Xen {}.{}{}, ", part("major"), part("minor"), part("extra"))?;
        write!(f, "Linux {} on {ARCH}, {} domain ", linux.trim(), self.kind)?;
        match self.own {
            Some(own) => own.fmt(f),
            None => f.write_str("of unknown number"),
        }
    }
}

/// What the kernel tells of the hypervisor, to everybody.
fn sysfs(name: &str) -> Option<String> {
    fs::read_to_string(format!("/sys/hypervisor/{name}")).ok().map(|text| text.trim().to_owned())
}
