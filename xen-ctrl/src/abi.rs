//! Which forms of the interface this hypervisor speaks.

use std::sync::OnceLock;

use xen_call::version::XenVersion;
use xen_call::{Xencall, version};
use xen_sys::DomId;
use xen_sys::xen_public::domctl::{DomainInfo414, DomainInfo416, Domctl, DomctlCall};
use xen_sys::xen_public::errno::EACCES;
use xen_sys::xen_public::sysctl::{SchedId, SysctlCall};
use xen_sys::zerocopy::FromZeros;

use crate::Error;

/// The hypervisor's version, and those of the two parts of its interface that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abi {
    /// The hypervisor.
    pub xen: XenVersion,
    /// `XEN_DOMCTL_INTERFACE_VERSION`
    #[doc(alias = "XEN_DOMCTL_INTERFACE_VERSION")]
    pub domctl: u32,
    /// `XEN_SYSCTL_INTERFACE_VERSION`
    #[doc(alias = "XEN_SYSCTL_INTERFACE_VERSION")]
    pub sysctl: u32,
}

/// Minor version of Xen 4, and the versions of domctl and sysctl that were released with it.
const RELEASES: [(u16, u32, u32); 9] = [
    (14, 0x12, 0x13),
    (15, 0x13, 0x13),
    (16, 0x14, 0x14),
    (17, 0x15, 0x15),
    (18, 0x16, 0x15),
    (19, 0x17, 0x15),
    (20, 0x17, 0x15),
    (21, 0x17, 0x16),
    (22, 0x18, 0x16),
];

/// What is to be known of the hypervisor. Its interface's versions are asked for when they are first needed, as whoever opens
/// a handle may need neither.
#[derive(Debug)]
pub(crate) struct Versions {
    pub(crate) xen: XenVersion,
    released: Abi,
    domctl: OnceLock<u32>,
    sysctl: OnceLock<u32>,
}

impl Versions {
    /// Asks for the hypervisor's version: one hypercall.
    pub(crate) fn detect(xencall: &Xencall) -> Result<Self, Error> {
        let xen = version::version(xencall)?;
        let row = RELEASES.iter().find(|(minor, ..)| xen.major == 4 && *minor == xen.minor);
        let Some(&(_, domctl, sysctl)) = row else {
            return Err(Error::UnknownHypervisor { running: xen });
        };
        let released = Abi { xen, domctl, sysctl };
        Ok(Self { xen, released, domctl: OnceLock::new(), sysctl: OnceLock::new() })
    }

    /// The version of domctl. One hypercall the first time, if it is as released.
    pub(crate) fn domctl(&self, xencall: &Xencall) -> Result<u32, Error> {
        once(&self.domctl, || {
            confirm(self.released.domctl, |version| probe_domctl(xencall, self.xen, version))
        })
    }

    /// The version of sysctl. One hypercall the first time, if it is as released.
    pub(crate) fn sysctl(&self, xencall: &Xencall) -> Result<u32, Error> {
        once(&self.sysctl, || confirm(self.released.sysctl, |version| probe_sysctl(xencall, version)))
    }

    /// Whether the hypervisor is at least Xen 4.`minor`.
    pub(crate) fn is_at_least(&self, minor: u16) -> bool {
        self.xen >= XenVersion { major: 4, minor }
    }
}

/// What the cell holds, or what `ask` gives, if that is no error. Of several threads that ask, all find the same.
fn once(cell: &OnceLock<u32>, ask: impl FnOnce() -> Result<u32, xen_call::Error>) -> Result<u32, Error> {
    if let Some(&known) = cell.get() {
        return Ok(known);
    }
    let found = ask()?;
    Ok(*cell.get_or_init(|| found))
}

/// The version that the hypervisor speaks: the `released` one, or a neighbour, in case a vendor has moved it. If it takes none, it
/// refuses for another reason, a security policy, which uses the same error number; then it is the released one.
fn confirm(
    released: u32,
    mut is_spoken: impl FnMut(u32) -> Result<bool, xen_call::Error>,
) -> Result<u32, xen_call::Error> {
    for version in [released, released + 1, released - 1] {
        if is_spoken(version)? {
            return Ok(version);
        }
    }
    Ok(released)
}

/// Xen compares the version before anything else, so whatever else it answers, the version is right.
fn probe_domctl(xencall: &Xencall, xen: XenVersion, version: u32) -> Result<bool, xen_call::Error> {
    fn ask<T: Domctl + FromZeros>(xencall: &Xencall, version: u32) -> Result<bool, xen_call::Error> {
        let operation = &T::new_zeroed();
        is_right_version(xencall.call(&DomctlCall { version, domain: DomId::ZERO, operation }).map(drop))
    }
    if xen.minor >= 16 {
        ask::<DomainInfo416>(xencall, version)
    } else {
        ask::<DomainInfo414>(xencall, version)
    }
}

fn probe_sysctl(xencall: &Xencall, version: u32) -> Result<bool, xen_call::Error> {
    let operation = &SchedId::default();
    is_right_version(xencall.call(&SysctlCall { version, operation }).map(drop))
}

fn is_right_version(answer: Result<(), xen_call::Error>) -> Result<bool, xen_call::Error> {
    match answer {
        Err(error) => match error.errno() {
            Some(errno) => Ok(errno != EACCES),
            None => Err(error), // not even asked
        },
        Ok(()) => Ok(true),
    }
}
