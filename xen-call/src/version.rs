//! What every domain may ask about the hypervisor (`xen_version`).
//!
//! Strings come in full: from Xen 4.20 on by calls without a limit, before by those that cut them (extra version 15
//! bytes, changeset 63, capabilities and command line 1023). Bytes that are no UTF-8 are replaced.

use crate::{Error, Xencall};
use xen_sys::xen_public::errno::ENOSYS;
use xen_sys::xen_public::version::{
    Capabilities, Changeset, CommandLine, CompileInfo, ExtraVersion, FeatureInfo, FillVarBuf, GuestHandle,
    PageSize, PlatformParameters, VAR_BUF_BYTES, Version,
};
use xen_sys::zerocopy::FromZeros;

/// A version of the hypervisor, such as 4.20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XenVersion {
    /// The 4 of 4.20.
    pub major: u16,
    /// The 20 of 4.20.
    pub minor: u16,
}

impl std::fmt::Display for XenVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How the hypervisor was built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compilation {
    /// The compiler and its version.
    pub compiler: String,
    /// Who compiled.
    pub by: String,
    /// The domain name of the machine.
    pub domain: String,
    /// When.
    pub date: String,
}

/// The hypervisor's version.
///
/// # Errors
///
/// [`Error::LockedDown`] in a domain that may issue no hypercalls.
#[doc(alias = "XENVER_version")]
#[doc(alias = "xc_version")]
#[inline]
pub fn version(xencall: &Xencall) -> Result<XenVersion, Error> {
    let version = u32::try_from(xencall.call(&Version)?.value).unwrap_or(u32::MAX);
    let half = |number: u32| u16::try_from(number & 0xffff).unwrap_or(u16::MAX);
    Ok(XenVersion { major: half(version >> 16), minor: half(version) })
}

/// What follows the minor version, such as `.2-pre (Debian 4.20.2)`.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_extraversion")]
#[doc(alias = "xc_xenver_extraversion")]
pub fn extra_version(xencall: &Xencall) -> Result<String, Error> {
    string(xencall, FillVarBuf::EXTRA_VERSION, || {
        Ok(text(&xencall.call(&ExtraVersion::new_zeroed())?.record.0))
    })
}

/// How the hypervisor was built. Xen tells unprivileged domains `<denied>`.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_compile_info")]
pub fn compilation(xencall: &Xencall) -> Result<Compilation, Error> {
    let record = xencall.call(&CompileInfo::new_zeroed())?.record;
    Ok(Compilation {
        compiler: text(&record.compiler),
        by: text(&record.compile_by),
        domain: text(&record.compile_domain),
        date: text(&record.compile_date),
    })
}

/// The kinds of guest that this hypervisor runs, such as `xen-3.0-x86_64 hvm-3.0-x86_64`, separated by spaces.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_capabilities")]
#[doc(alias = "xc_xenver_capabilities")]
pub fn capabilities(xencall: &Xencall) -> Result<String, Error> {
    string(xencall, FillVarBuf::CAPABILITIES, || {
        Ok(text(&xencall.call(&Capabilities::new_zeroed())?.record.0))
    })
}

/// The source's revision.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_changeset")]
#[doc(alias = "xc_xenver_changeset")]
pub fn changeset(xencall: &Xencall) -> Result<String, Error> {
    string(xencall, FillVarBuf::CHANGESET, || Ok(text(&xencall.call(&Changeset::new_zeroed())?.record.0)))
}

/// Xen's command line.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_commandline")]
#[doc(alias = "xc_xenver_commandline")]
pub fn command_line(xencall: &Xencall) -> Result<String, Error> {
    string(xencall, FillVarBuf::COMMAND_LINE, || {
        Ok(text(&xencall.call(&CommandLine::new_zeroed())?.record.0))
    })
}

/// The linker's hash of the hypervisor, by which debug information and live patches find it.
///
/// # Errors
///
/// As [`version`]; [`Error::Hypercall`] with `ENODATA` if it was built without.
#[doc(alias = "XENVER_build_id")]
#[doc(alias = "xc_xenver_buildid")]
pub fn build_id(xencall: &Xencall) -> Result<Vec<u8>, Error> {
    var_buf(xencall, FillVarBuf::BUILD_ID)
}

/// Where Xen's own part of the address space begins, for a PV guest.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_platform_parameters")]
pub fn virtual_start(xencall: &Xencall) -> Result<u64, Error> {
    Ok(xencall.call(&PlatformParameters::new_zeroed())?.record.virt_start)
}

/// 32 of the features of the hypervisor for this domain, as bits; those with the numbers `32 * index` and up.
///
/// # Errors
///
/// As [`version`]; [`Error::Hypercall`] with `EINVAL` for an index that Xen does not know.
#[doc(alias = "XENVER_get_features")]
#[inline]
pub fn features(xencall: &Xencall, index: u32) -> Result<u32, Error> {
    Ok(xencall.call(&FeatureInfo { submap_idx: index, submap: 0 })?.record.submap)
}

/// Xen's page size, in bytes: 4096.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_pagesize")]
pub fn page_size(xencall: &Xencall) -> Result<u64, Error> {
    Ok(u64::try_from(xencall.call(&PageSize)?.value).unwrap_or_default())
}

/// This domain's UUID; dom0's is all zeros, as a rule.
///
/// # Errors
///
/// As [`version`].
#[doc(alias = "XENVER_guest_handle")]
pub fn guest_handle(xencall: &Xencall) -> Result<[u8; 16], Error> {
    Ok(xencall.call(&GuestHandle::new_zeroed())?.record.0)
}

/// A string by the new call, or by the old one where the hypervisor does not have the new one.
fn string(
    xencall: &Xencall,
    new: FillVarBuf,
    old: impl FnOnce() -> Result<String, Error>,
) -> Result<String, Error> {
    match var_buf(xencall, new) {
        Err(error) if error.errno() == Some(ENOSYS) => old(),
        bytes => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn var_buf(xencall: &Xencall, which: FillVarBuf) -> Result<Vec<u8>, Error> {
    let answer = xencall.call(&which)?;
    let length = usize::try_from(answer.value).unwrap_or(VAR_BUF_BYTES).min(VAR_BUF_BYTES);
    Ok(answer.record.buf[..length].to_vec())
}

/// The bytes before the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
