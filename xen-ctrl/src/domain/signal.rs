//! Shutting a domain down, and other signals to it.

use xen_sys::xen_public::domctl::{self, DebugOp, SendTrigger, SoftReset, Subscribe};
use xen_sys::xen_public::sched::RemoteShutdown;
use xen_sys::{Port, VcpuId};

use super::{Domain, ShutdownReason};
use crate::Error;

/// What can be done to a vCPU from outside, on x86.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// A non-maskable interrupt.
    #[doc(alias = "XEN_DOMCTL_SENDTRIGGER_NMI")]
    Nmi,
    /// It begins anew.
    #[doc(alias = "XEN_DOMCTL_SENDTRIGGER_RESET")]
    Reset,
    /// It stops, and waits to be started by another one.
    #[doc(alias = "XEN_DOMCTL_SENDTRIGGER_INIT")]
    Init,
    /// The power button of the machine is pressed.
    #[doc(alias = "XEN_DOMCTL_SENDTRIGGER_POWER")]
    Power,
    /// The sleep button of the machine is pressed.
    #[doc(alias = "XEN_DOMCTL_SENDTRIGGER_SLEEP")]
    Sleep,
}

impl Domain<'_> {
    /// Stops all vCPUs as if the guest had shut down for this reason, which may be one that Xen does not know. The guest is not asked,
    /// and still has to be [destroyed](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_shutdown")]
    #[doc(alias = "SCHEDOP_remote_shutdown")]
    pub fn shutdown(&self, reason: ShutdownReason) -> Result<(), Error> {
        let record = RemoteShutdown { domain_id: self.id.get(), pad: 0, reason: reason.number().into() };
        self.xen.call(Some(self.id), &record).map(drop)
    }

    /// Takes from an HVM domain that has shut down what a new kernel does not expect: event channels, grants, the place of its shared
    /// page. It can then begin again with the same memory. For [`ShutdownReason::SoftReset`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Refused`] with `EINVAL` if it has not shut
    /// down, or is PV.
    #[doc(alias = "xc_domain_soft_reset")]
    #[doc(alias = "XEN_DOMCTL_soft_reset")]
    pub fn soft_reset(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &SoftReset)
    }

    /// Does something to one vCPU.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm, and for what this kind of domain does not have;
    /// [`Error::Refused`] with `ESRCH` if there is no such vCPU, `EINVAL` for the caller's own domain.
    #[doc(alias = "xc_domain_send_trigger")]
    #[doc(alias = "XEN_DOMCTL_sendtrigger")]
    pub fn send_trigger(&self, trigger: Trigger, vcpu: VcpuId) -> Result<(), Error> {
        let trigger = match trigger {
            Trigger::Nmi => domctl::SENDTRIGGER_NMI,
            Trigger::Reset => domctl::SENDTRIGGER_RESET,
            Trigger::Init => domctl::SENDTRIGGER_INIT,
            Trigger::Power => domctl::SENDTRIGGER_POWER,
            Trigger::Sleep => domctl::SENDTRIGGER_SLEEP,
        };
        self.vcpu(vcpu).domctl(&SendTrigger { trigger, vcpu: vcpu.get() }).map(drop)
    }

    /// Lets one vCPU of an HVM domain go step by step; each step goes to the vm-event ring or the debugger.
    ///
    /// A PV guest's vCPU does so with the trap flag in its registers: while there is a [debugger](Self::set_debugging), the domain is paused
    /// after each instruction of its kernel.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm, and on processors that cannot (AMD's);
    /// [`Error::Refused`] with `EINVAL` if there is no such vCPU, or for the caller's own domain.
    #[doc(alias = "xc_domain_debug_control")]
    #[doc(alias = "XEN_DOMCTL_debug_op")]
    pub fn set_single_step(&self, vcpu: VcpuId, enable: bool) -> Result<(), Error> {
        let op = if enable { domctl::DEBUG_OP_SINGLE_STEP_ON } else { domctl::DEBUG_OP_SINGLE_STEP_OFF };
        self.xen.domctl(self.id, &DebugOp { op, vcpu: vcpu.get() }).map(drop)
    }

    /// Sends an event through `port` of this domain, one that is connected to the caller's, when the domain suspends; instead of
    /// [`Virq::DOM_EXC`](crate::Virq::DOM_EXC). A later call takes the place of this one.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if the port is not connected to the
    /// caller's domain.
    #[doc(alias = "xc_domain_subscribe_for_suspend")]
    #[doc(alias = "XEN_DOMCTL_subscribe")]
    pub fn subscribe_suspend(&self, port: Port) -> Result<(), Error> {
        self.xen.domctl(self.id, &Subscribe { port: port.get() }).map(drop)
    }
}
