//! Interrupts that the kernel sends when an eventfd is signalled.

use std::os::fd::BorrowedFd;

use xen_sys::xen_public::errno::{ENOTTY, EOPNOTSUPP, EPERM};
use xen_sys::xen_public::hvm::{DmOperation, InjectMsi, SetIrqLevel, SetIsaIrqLevel};

use super::interrupt::pci_intx;
use super::{DeviceModel, IntxPin};
use crate::Error;
use crate::host::PciAddress;

/// An interrupt that an eventfd can stand for: the operation that the kernel issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Irq {
    /// A message ([`DeviceModel::inject_msi`]).
    Msi {
        /// The message's address.
        address: u64,
        /// The message's data.
        data: u32,
    },
    /// An interrupt of Arm's ([`DeviceModel::set_irq_level`]), asserted.
    Spi {
        /// Which one.
        interrupt: u32,
    },
    /// A line of ISA ([`DeviceModel::set_isa_irq_level`]), asserted.
    Isa {
        /// Which one.
        line: u8,
    },
    /// A pin of a PCI device ([`DeviceModel::set_pci_intx_level`]), asserted.
    Pci {
        /// The device.
        device: PciAddress,
        /// Its pin.
        pin: IntxPin,
    },
}

/// What the kernel calls it, in messages.
const OPERATION: &str = "IOCTL_PRIVCMD_IRQFD";
const NEEDS: &str = "Linux 6.7 (or 6.6.2) or later, built with CONFIG_XEN_PRIVCMD_EVENTFD";

impl DeviceModel {
    /// Has the kernel raise an interrupt each time that an eventfd is signalled; at once if it has been signalled already. The kernel
    /// takes the count, so that who reads the eventfd finds none. A virtio or vhost process then interrupts the guest without the
    /// device model.
    ///
    /// Lines and pins are asserted and stay so, also when this ends: a further signal does nothing until the level was
    /// [set](Self::set_isa_irq_level) back.
    ///
    /// It ends when the eventfd is closed everywhere, or with [`unassign_irqfd`](Self::unassign_irqfd); not when this handle is dropped,
    /// and **not with the guest**. Nobody asks whether there is such a guest, or one that takes such interrupts: where Xen refuses,
    /// the signal is lost, and the kernel's log says so once. The next guest with the same number is interrupted.
    ///
    /// Linux 6.7+ (and 6.6.2+) with `CONFIG_XEN_PRIVCMD_EVENTFD`, which Debian's kernels up to 7.2 are built without.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedByKernel`]; [`Error::Denied`] if the file is restricted to another domain; [`Error::Kernel`] with `EBUSY` if
    /// the eventfd stands for an interrupt already, of any guest, `EINVAL` if it is no eventfd.
    #[doc(alias = "IOCTL_PRIVCMD_IRQFD")]
    pub fn assign_irqfd(&self, eventfd: BorrowedFd<'_>, irq: Irq) -> Result<(), Error> {
        match irq {
            Irq::Msi { address, data } => {
                self.irqfd(eventfd, &InjectMsi { data, pad: 0, addr: address }, true)
            }
            Irq::Spi { interrupt } => {
                self.irqfd(eventfd, &SetIrqLevel { irq: interrupt, level: 1, pad: [0; 3] }, true)
            }
            Irq::Isa { line } => self.irqfd(eventfd, &SetIsaIrqLevel { isa_irq: line, level: 1 }, true),
            Irq::Pci { device, pin } => self.irqfd(eventfd, &pci_intx(device, pin, true), true),
        }
    }

    /// The eventfd no longer stands for an interrupt, whichever guest's it was. None comes after this has returned; later signals are
    /// there for who reads the eventfd. The kernel does not mind if it never stood for one.
    ///
    /// # Errors
    ///
    /// As [`assign_irqfd`](Self::assign_irqfd), but for `EBUSY`.
    pub fn unassign_irqfd(&self, eventfd: BorrowedFd<'_>) -> Result<(), Error> {
        // the operation is copied, and not looked at
        self.irqfd(eventfd, &InjectMsi::default(), false)
    }

    fn irqfd<O: DmOperation>(
        &self,
        eventfd: BorrowedFd<'_>,
        operation: &O,
        assign: bool,
    ) -> Result<(), Error> {
        let outcome = self.foreign_memory().device().irqfd(self.domain_id(), operation, eventfd, assign);
        outcome.map_err(|source| match source.raw_os_error() {
            // `ENOTTY` from kernels before it, and from 6.6 and 6.6.1, where it had another number
            Some(EOPNOTSUPP | ENOTTY) => Error::UnsupportedByKernel { operation: OPERATION, needs: NEEDS },
            Some(EPERM) => Error::Denied { operation: OPERATION, domain: Some(self.domain_id()), source },
            _ => Error::Kernel { operation: OPERATION, source },
        })
    }
}
