//! Sets of CPUs and of NUMA nodes.
//!
//! ```
//! use xen_ctrl::bitmap::CpuMap;
//!
//! let pinned: CpuMap = "0-3,7".parse()?;
//! let online: CpuMap = (0..4).collect();
//! assert_eq!((&pinned & &online).to_string(), "0-3");
//! assert_eq!((&pinned - &online).first(), Some(7));
//! # Ok::<(), xen_ctrl::bitmap::ParseMapError>(())
//! ```

use std::fmt;
use std::iter::Enumerate;
use std::ops::{BitAnd, BitOr, BitXor, Sub};
use std::slice;
use std::str::FromStr;

use crate::{Error, Xenctrl};

/// A text is no list of numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{item}` is neither a number nor a range such as 4-7 (up to {})", MAX_PARSED)]
#[non_exhaustive]
pub struct ParseMapError {
    /// The item of the list that is wrong.
    pub item: String,
}

/// Numbers above this one are not believed when they come as text: each map has a bit for every smaller number, and Xen can be
/// built for 16383 CPUs.
const MAX_PARSED: u32 = 0xffff;

/// The numbers in a map, from the lowest to the highest.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    rest: Enumerate<slice::Iter<'a, u64>>,
    base: u32,
    word: u64,
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.word == 0 {
            let (index, word) = self.rest.next()?;
            self.base = u32::try_from(index).ok()?.checked_mul(u64::BITS)?;
            self.word = *word;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

/// A set of numbers. The last word is never 0, so that equal sets have equal words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn from_words(mut words: Vec<u64>) -> Self {
        let used = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        words.truncate(used);
        Self(words)
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self::from_words(bytes.chunks(8).map(word).collect())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
    }

    /// Index of the word that has the number, and its bit there.
    fn place(number: u32) -> (usize, u64) {
        let index = usize::try_from(number / u64::BITS).unwrap_or(usize::MAX);
        (index, 1 << (number % u64::BITS))
    }

    fn contains(&self, number: u32) -> bool {
        let (index, bit) = Self::place(number);
        self.0.get(index).is_some_and(|word| word & bit != 0)
    }

    fn insert(&mut self, number: u32) -> bool {
        let is_new = !self.contains(number);
        let (index, bit) = Self::place(number);
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        self.0[index] |= bit;
        is_new
    }

    fn remove(&mut self, number: u32) -> bool {
        let was_there = self.contains(number);
        if was_there {
            let (index, bit) = Self::place(number);
            self.0[index] &= !bit;
            *self = Self::from_words(std::mem::take(&mut self.0));
        }
        was_there
    }

    fn len(&self) -> usize {
        self.iter().count()
    }

    fn iter(&self) -> Numbers<'_> {
        Numbers { rest: self.0.iter().enumerate(), base: 0, word: 0 }
    }

    fn last(&self) -> Option<u32> {
        let word = self.0.last()?;
        let base = u32::try_from(self.0.len() - 1).ok()?.checked_mul(u64::BITS)?;
        Some(base + u64::BITS - 1 - word.leading_zeros())
    }

    fn combine(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        let words = self.0.len().max(other.0.len());
        let at = |bits: &Self, index: usize| bits.0.get(index).copied().unwrap_or(0);
        Self::from_words((0..words).map(|index| operation(at(self, index), at(other, index))).collect())
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|next| next - 1 == last) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for Bits {
    type Err = ParseMapError;

    fn from_str(text: &str) -> Result<Self, ParseMapError> {
        let mut bits = Self::default();
        let text = text.trim();
        for item in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) if first <= last && last <= MAX_PARSED => {
                    (first..=last).for_each(|number| {
                        bits.insert(number);
                    });
                }
                _ => return Err(ParseMapError { item: item.to_owned() }),
            }
        }
        Ok(bits)
    }
}

macro_rules! map {
    ($(#[$doc:meta])* $map:ident, $one:literal) => {
        $(#[$doc])*
        ///
        /// Displayed and parsed as a list of numbers and ranges, `0-3,7`, which is also how Linux writes such sets. It has room for
        /// whatever is inserted, one bit for each number up to the highest.
        #[derive(Clone, Default, PartialEq, Eq, Hash)]
        pub struct $map(Bits);

        impl $map {
            /// The empty set.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Reads the form that Xen uses: bit 0 of the first byte is number 0, bit 0 of the second one number 8.
            #[must_use]
            #[doc(alias = "bitmap_byte_to_64")]
            pub fn from_bytes(bytes: &[u8]) -> Self {
                Self(Bits::from_bytes(bytes))
            }

            /// The form that Xen uses, as far as there are numbers in it.
            #[must_use]
            #[doc(alias = "bitmap_64_to_byte")]
            pub fn to_bytes(&self) -> Vec<u8> {
                self.0.to_bytes()
            }

            #[doc = concat!("Puts ", $one, " in; false if it was there already.")]
            pub fn insert(&mut self, number: u32) -> bool {
                self.0.insert(number)
            }

            #[doc = concat!("Takes ", $one, " out; false if it was not there.")]
            pub fn remove(&mut self, number: u32) -> bool {
                self.0.remove(number)
            }

            #[doc = concat!("Whether ", $one, " is in it.")]
            #[must_use]
            pub fn contains(&self, number: u32) -> bool {
                self.0.contains(number)
            }

            /// Whether all of its numbers are in the other one too.
            #[must_use]
            pub fn is_subset(&self, other: &Self) -> bool {
                (self - other).is_empty()
            }

            /// How many numbers there are in it.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is none in it.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.0.is_empty()
            }

            /// The lowest number.
            #[must_use]
            pub fn first(&self) -> Option<u32> {
                self.iter().next()
            }

            /// The highest number.
            #[must_use]
            pub fn last(&self) -> Option<u32> {
                self.0.last()
            }

            /// The numbers in it, from the lowest to the highest.
            #[must_use]
            pub fn iter(&self) -> Numbers<'_> {
                self.0.iter()
            }
        }

        impl<'a> IntoIterator for &'a $map {
            type Item = u32;
            type IntoIter = Numbers<'a>;

            fn into_iter(self) -> Numbers<'a> {
                self.iter()
            }
        }

        impl FromIterator<u32> for $map {
            fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
                let mut map = Self::new();
                map.extend(numbers);
                map
            }
        }

        impl Extend<u32> for $map {
            fn extend<I: IntoIterator<Item = u32>>(&mut self, numbers: I) {
                for number in numbers {
                    self.insert(number);
                }
            }
        }

        impl fmt::Display for $map {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $map {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($map), "({})"), self.0)
            }
        }

        impl FromStr for $map {
            type Err = ParseMapError;

            /// Reads a list such as `0-3,7`; the empty text is the empty set.
            fn from_str(text: &str) -> Result<Self, ParseMapError> {
                text.parse().map(Self)
            }
        }

        map!(@operator $map, BitAnd, bitand, |a, b| a & b, "What is in both.");
        map!(@operator $map, BitOr, bitor, |a, b| a | b, "What is in either.");
        map!(@operator $map, BitXor, bitxor, |a, b| a ^ b, "What is in one of them only.");
        map!(@operator $map, Sub, sub, |a, b| a & !b, "What is in the first one only.");
    };
    (@operator $map:ident, $operator:ident, $method:ident, $operation:expr, $doc:literal) => {
        impl $operator for &$map {
            type Output = $map;

            #[doc = $doc]
            fn $method(self, other: Self) -> $map {
                $map(self.0.combine(&other.0, $operation))
            }
        }
    };
}

map! {
    /// A set of CPUs of the host.
    #[doc(alias = "xc_cpumap_t")]
    #[doc(alias = "xc_cpumap_alloc")]
    #[doc(alias = "xc_get_cpumap_size")]
    #[doc(alias = "xc_cpumap_setcpu")]
    #[doc(alias = "xc_cpumap_clearcpu")]
    #[doc(alias = "xc_cpumap_testcpu")]
    CpuMap, "a CPU"
}
map! {
    /// A set of NUMA nodes of the host.
    #[doc(alias = "xc_nodemap_t")]
    #[doc(alias = "xc_nodemap_alloc")]
    #[doc(alias = "xc_get_nodemap_size")]
    NodeMap, "a node"
}

impl CpuMap {
    /// How many bytes it takes for a bit for each CPU that the host has room for. One hypercall.
    pub(crate) fn bytes_of_host(xen: &Xenctrl) -> Result<usize, Error> {
        let highest = usize::try_from(xen.host().info()?.max_cpu).unwrap_or(0);
        Ok(highest / 8 + 1)
    }
}

#[cfg(test)]
mod tests;
