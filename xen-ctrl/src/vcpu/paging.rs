//! How a processor of x86 finds the frame at a virtual address.

use xen_sys::Gfn;

/// The way from virtual addresses to frames, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    mode: Mode,
    /// Physical address of the root table.
    root: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Addresses are physical ones.
    Off,
    /// Entries of 32 bits.
    TwoLevels {
        /// Whether there may be pages of 4 MiB.
        large_pages: bool,
    },
    /// Physical addresses have more bits than virtual ones (PAE).
    ThreeLevels,
    FourLevels,
    FiveLevels,
}

/// How many levels there are at most.
pub(super) const MOST_LEVELS: usize = 5;

/// What an entry that is present leads to: its physical address.
enum Target {
    /// A table of the next level; of the last one, a page of 4 KiB.
    Next(u64),
    LargePage(u64),
}

const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const EFER_LMA: u64 = 1 << 10;

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// What of an entry of 64 bits, and of CR3, is an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Paging {
    /// As the control registers say.
    pub(super) fn of_processor(cr0: u64, cr3: u64, cr4: u64, efer: u64) -> Self {
        let is_set = |register: u64, bit: u64| register & bit != 0;
        let (mode, root) = if !is_set(cr0, CR0_PG) {
            (Mode::Off, 0)
        } else if !is_set(cr4, CR4_PAE) {
            (Mode::TwoLevels { large_pages: is_set(cr4, CR4_PSE) }, cr3 & 0xffff_f000)
        } else if !is_set(efer, EFER_LMA) {
            (Mode::ThreeLevels, cr3 & 0xffff_ffe0) // a quarter of a KiB of a table
        } else if is_set(cr4, CR4_LA57) {
            (Mode::FiveLevels, cr3 & ADDRESS)
        } else {
            (Mode::FourLevels, cr3 & ADDRESS)
        };
        Self { mode, root }
    }

    /// Of a PV guest of 64 bits, by what it has for CR3, which is a plain address of a machine frame.
    pub(crate) fn of_pv(cr3: u64) -> Self {
        Self { mode: Mode::FourLevels, root: cr3 & ADDRESS }
    }

    /// The frame at a virtual address; `None` if none is mapped there. `read` is given a level, 0 for the root's, and an address, and
    /// gives the 8 bytes there.
    pub(super) fn translate<E>(
        self,
        address: u64,
        mut read: impl FnMut(usize, u64) -> Result<u64, E>,
    ) -> Result<Option<Gfn>, E> {
        let Self { mode, root } = self;
        if !mode.has(address) {
            return Ok(None);
        }
        let frame = |physical: u64| Some(Gfn::new(physical >> 12));
        let mut place = if mode == Mode::Off { address } else { root };
        for (level, &shift) in mode.shifts().iter().enumerate() {
            let at = mode.place_of_entry(place, address >> shift);
            // entries of 32 bits are halves of what is read
            let word = read(level, at & !7)? >> (at % 8 * 8);
            match mode.target(word, shift) {
                None => return Ok(None),
                Some(Target::Next(next)) => place = next,
                Some(Target::LargePage(page)) => {
                    return Ok(frame(page | address & ((1 << shift) - 1)));
                }
            }
        }
        Ok(frame(place))
    }
}

impl Mode {
    /// For each level, how many bits of an address are below those that choose the entry.
    fn shifts(self) -> &'static [u32] {
        match self {
            Self::Off => &[],
            Self::TwoLevels { .. } => &[22, 12],
            Self::ThreeLevels => &[30, 21, 12],
            Self::FourLevels => &[39, 30, 21, 12],
            Self::FiveLevels => &[48, 39, 30, 21, 12],
        }
    }

    /// Whether there can be such an address. In 64-bit modes, the bits that are not looked at repeat the highest one that is.
    fn has(self, address: u64) -> bool {
        let repeats = |bit: u32| [0, u64::MAX >> bit].contains(&(address >> bit));
        match self {
            Self::Off | Self::TwoLevels { .. } | Self::ThreeLevels => address >> 32 == 0,
            Self::FourLevels => repeats(47),
            Self::FiveLevels => repeats(56),
        }
    }

    /// Where the entry for an address is; only the lower bits of `index` count.
    fn place_of_entry(self, table: u64, index: u64) -> u64 {
        match self {
            Self::TwoLevels { .. } => table + index % 1024 * 4,
            _ => table + index % 512 * 8,
        }
    }

    /// What an entry leads to, if it is present.
    fn target(self, entry: u64, shift: u32) -> Option<Target> {
        let is_large = entry & LARGE != 0;
        if entry & PRESENT == 0 {
            return None;
        }
        Some(match self {
            Self::TwoLevels { large_pages } if large_pages && is_large && shift == 22 => {
                // the address's upper bits have found room below the lower ones (PSE-36)
                Target::LargePage(entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32)
            }
            Self::TwoLevels { .. } => Target::Next(entry & 0xffff_f000),
            Self::ThreeLevels if shift == 30 => Target::Next(entry & ADDRESS), // no pages of 1 GiB
            _ if is_large && [21, 30].contains(&shift) => {
                Target::LargePage(entry & ADDRESS & !((1 << shift) - 1))
            }
            _ => Target::Next(entry & ADDRESS),
        })
    }
}

#[cfg(test)]
mod tests;
