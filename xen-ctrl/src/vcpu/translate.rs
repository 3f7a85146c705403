//! Which frame is at a virtual address of a guest's.

use xen_foreignmem::ForeignMemory;
use xen_sys::zerocopy::IntoBytes;
use xen_sys::{DomId, Gfn};

use super::Vcpu;
use super::paging::{MOST_LEVELS, Paging};
use crate::Error;

/// The virtual addresses of a vCPU, by the page tables that it had when this was made.
///
/// The last table of each level is kept, so that addresses in order cost little. What the guest changes later may be missed: when it has
/// run, take another one.
#[derive(Debug)]
pub struct AddressSpace<'a> {
    foreign: &'a ForeignMemory,
    domain: DomId,
    paging: Paging,
    /// Frame and content, from the root on.
    tables: [Option<(u64, Vec<u64>)>; MOST_LEVELS],
}

impl<'a> AddressSpace<'a> {
    pub(crate) fn new(foreign: &'a ForeignMemory, domain: DomId, paging: Paging) -> Self {
        Self { foreign, domain, paging, tables: [const { None }; MOST_LEVELS] }
    }

    /// The frame at a virtual address, as [`ForeignMemory`] maps it: a PV guest's machine frame, or one in an HVM guest's own numbering.
    /// It has 4 KiB, whatever the page has that it is a part of. `None` if nothing is mapped there, or there is no such address.
    ///
    /// At most five system calls, to map what tables have not been seen yet.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if a page table cannot be mapped: the guest says that it is where no memory is, for instance.
    pub fn translate(&mut self, address: u64) -> Result<Option<Gfn>, Error> {
        let Self { foreign, domain, paging, tables } = self;
        paging.translate(address, |level, at| {
            let frame = at >> 12;
            let words = match &mut tables[level] {
                Some((kept, words)) if *kept == frame => words,
                table => &mut table.insert((frame, read_words(foreign, *domain, frame)?)).1,
            };
            let index = usize::try_from(at / 8).unwrap_or(0) % WORDS;
            Ok(words[index])
        })
    }
}

/// How many 64-bit words a frame has.
pub(crate) const WORDS: usize = 512;

/// Copies a frame of the domain's, that many words.
pub(crate) fn read_words(foreign: &ForeignMemory, domain: DomId, frame: u64) -> Result<Vec<u64>, Error> {
    let mapping = foreign.map_read_only(domain, &[Gfn::new(frame)])?;
    let mut words = vec![0; WORDS];
    mapping.copy_to_slice(0, words.as_mut_bytes()).map_err(xen_foreignmem::Error::from)?;
    Ok(words)
}

impl Vcpu<'_> {
    /// The virtual addresses that the vCPU has now. Pause the domain first if that is to last.
    ///
    /// Of a PV guest, those of its kernel, in which Linux has the running program's too. Of an HVM guest, whatever the processor is
    /// doing: without paging, with tables of two to five levels, with large pages. Three hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Unsupported`] on Arm, and for a PV guest of 32 bits; [`Error::Refused`] with
    /// `ENODATA` for a vCPU that is off, and with `EINVAL` for the caller's own domain.
    pub fn address_space<'a>(&self, foreign: &'a ForeignMemory) -> Result<AddressSpace<'a>, Error> {
        Ok(AddressSpace::new(foreign, self.domain, self.paging()?))
    }

    /// The frame at a virtual address of the vCPU's: [`AddressSpace::translate`] of one. For several, take the
    /// [`address_space`](Self::address_space) once.
    ///
    /// # Errors
    ///
    /// As [`address_space`](Self::address_space) and [`AddressSpace::translate`].
    #[doc(alias = "xc_translate_foreign_address")]
    pub fn translate(&self, foreign: &ForeignMemory, address: u64) -> Result<Option<Gfn>, Error> {
        self.address_space(foreign)?.translate(address)
    }

    #[cfg(target_arch = "x86_64")]
    fn paging(&self) -> Result<Paging, Error> {
        let kind = self.xen.domain(self.domain).info()?.flags;
        if kind.contains(crate::domain::DomainFlags::HVM_GUEST) {
            let cpu = self.hvm_context()?;
            Ok(Paging::of_processor(cpu.cr0, cpu.cr3, cpu.cr4, cpu.msr_efer))
        } else {
            Ok(Paging::of_pv(self.context()?.ctrlreg[3]))
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn paging(&self) -> Result<Paging, Error> {
        let operation = "XEN_DOMCTL_gethvmcontext_partial";
        Err(Error::Unsupported { operation, needs: None, running: self.xen.version() })
    }
}
