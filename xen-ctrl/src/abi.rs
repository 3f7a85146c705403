//! Which forms of the interface this hypervisor speaks.

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

impl Abi {
    /// Asks the hypervisor. Three hypercalls, if it is as released.
    pub(crate) fn detect(xencall: &Xencall) -> Result<Self, Error> {
        let xen = version::version(xencall)?;
        let row = RELEASES.iter().find(|(minor, ..)| xen.major == 4 && *minor == xen.minor);
        let Some(&(_, domctl, sysctl)) = row else {
            return Err(Error::UnknownHypervisor { running: xen });
        };
        let domctl = confirm(domctl, |version| probe_domctl(xencall, xen, version))?;
        let sysctl = confirm(sysctl, |version| probe_sysctl(xencall, version))?;
        Ok(Self { xen, domctl, sysctl })
    }

    /// Whether the hypervisor is at least Xen 4.`minor`.
    pub(crate) fn is_at_least(&self, minor: u16) -> bool {
        self.xen >= XenVersion { major: 4, minor }
    }
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
