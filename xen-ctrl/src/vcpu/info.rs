//! What is known of a vCPU.

use std::time::Duration;

use xen_sys::xen_public::domctl::GetVcpuInfo;

use super::Vcpu;
use crate::Error;

/// What is known of a vCPU, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_vcpuinfo_t")]
pub struct VcpuInfo {
    /// Whether the guest has turned it on.
    pub online: bool,
    /// Whether it waits for an event.
    pub blocked: bool,
    /// Whether it runs at this moment.
    pub running: bool,
    /// How long it has run.
    pub cpu_time: Duration,
    /// The CPU where it runs, or ran last.
    pub cpu: u32,
}

impl Vcpu<'_> {
    /// What is known of the vCPU. One hypercall.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`].
    #[doc(alias = "xc_vcpu_getinfo")]
    #[doc(alias = "xc_domain_get_cpu_usage")]
    #[doc(alias = "XEN_DOMCTL_getvcpuinfo")]
    pub fn info(&self) -> Result<VcpuInfo, Error> {
        let record = self.domctl(&GetVcpuInfo { vcpu: self.id.get(), ..GetVcpuInfo::default() })?;
        Ok(VcpuInfo {
            online: record.online != 0,
            blocked: record.blocked != 0,
            running: record.running != 0,
            cpu_time: Duration::from_nanos(record.cpu_time),
            cpu: record.cpu,
        })
    }
}
