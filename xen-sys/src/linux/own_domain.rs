//! What the kernel tells of the domain that we run in.

use std::fs;

/// Whether this is the initial domain, as the hypervisor told the kernel in its features.
#[must_use]
pub fn is_initial() -> bool {
    /// The number of the feature's bit.
    #[doc(alias = "XENFEAT_dom0")]
    const DOM0: u32 = 11;
    let features = fs::read_to_string("/sys/hypervisor/properties/features").unwrap_or_default();
    u64::from_str_radix(features.trim(), 16).is_ok_and(|features| features & (1 << DOM0) != 0)
}

/// Whether this is a PV domain, which Xen tells machine frame numbers.
#[must_use]
pub fn is_pv() -> bool {
    guest_type().as_deref() == Some("PV")
}

/// Whether Xen translates our frame numbers: HVM, PVH and all Arm domains, but no PV ones, and nothing that is not Xen.
#[must_use]
pub fn is_auto_translated() -> bool {
    cfg!(target_arch = "aarch64") || guest_type().is_some_and(|kind| kind != "PV")
}

fn guest_type() -> Option<String> {
    fs::read_to_string("/sys/hypervisor/guest_type").ok().map(|kind| kind.trim().to_owned())
}
