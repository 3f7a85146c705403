//! Domains of our own making.

use anyhow::Result;
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind};
use xen_ctrl::memory::Allocation;
use xen_ctrl::{DomId, Gfn, Xenctrl};
#[cfg(target_arch = "x86_64")]
use {
    anyhow::Context,
    xen_ctrl::ForeignMemory,
    xen_ctrl::hvm::{HvmContext, HvmRecord, SaveCode},
    xen_ctrl::vcpu::HvmCpu,
};

/// An HVM domain that has memory and one vCPU, and never ran. It ends with this.
#[derive(Debug)]
pub struct BareDomain {
    domain: CreatedDomain<'static>,
}

impl BareDomain {
    /// With so many frames, from number 0 on: some times 512, or fewer than that.
    ///
    /// # Errors
    ///
    /// Xen's.
    pub fn new(frames: u64) -> Result<Self> {
        let xen: &'static Xenctrl = Box::leak(Box::new(Xenctrl::open()?));
        let domain = xen.create_domain(&CreateDomain::new(DomainKind::Hvm))?;
        domain.set_max_vcpus(1)?;
        domain.set_max_memory((frames + 64) * 4)?;
        if cfg!(target_arch = "x86_64") {
            domain.memory().set_paging_allocation(4)?;
        }
        let order = if frames < 512 { 0 } else { 9 };
        let places: Vec<_> = (0..frames).step_by(1 << order).map(Gfn::new).collect();
        domain.memory().populate_exact(&places, Allocation::of_order(order))?;
        Ok(Self { domain })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> DomId {
        self.domain.id()
    }

    /// Its handle.
    pub fn domain(&self) -> &CreatedDomain<'static> {
        &self.domain
    }
}

/// What runs without a kernel.
#[cfg(target_arch = "x86_64")]
impl BareDomain {
    /// One that reads a port again and again, as soon as it is unpaused.
    ///
    /// # Errors
    ///
    /// Xen's.
    pub fn reading_port(port: u16) -> Result<Self> {
        let guest = Self::new(64)?;
        let [low, high] = port.to_le_bytes();
        // mov edx, port; in eax, dx; jmp to the `in`
        guest.set_code(&[0xba, low, high, 0, 0, 0xed, 0xeb, 0xfd])?;
        Ok(guest)
    }

    /// Its vCPU will begin with these instructions: 32 bits, no paging, segments of 4 GiB.
    fn set_code(&self, code: &[u8]) -> Result<()> {
        const PLACE: u64 = 1;
        let page = ForeignMemory::open()?.map(self.id(), &[Gfn::new(PLACE)])?;
        page.copy_from_slice(0, code)?;
        let state = self.domain.hvm().context()?;
        let header = state.find(SaveCode::HEADER, 0).context("no header")?.clone();
        let registers = HvmCpu {
            cr0: 0x11, // protected mode
            rip: PLACE << 12,
            rflags: 2,
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            cs_limit: u32::MAX,
            cs_arbytes: 0xc9b,
            ds_limit: u32::MAX,
            ds_arbytes: 0xc93,
            es_limit: u32::MAX,
            es_arbytes: 0xc93,
            ss_limit: u32::MAX,
            ss_arbytes: 0xc93,
            tr_limit: 0x67,
            tr_arbytes: 0x8b,
            ..HvmCpu::default()
        };
        let cpu = HvmRecord::new(SaveCode::CPU, 0, &registers);
        self.domain.hvm().set_context(&HvmContext { records: vec![header, cpu] })?;
        Ok(())
    }
}
