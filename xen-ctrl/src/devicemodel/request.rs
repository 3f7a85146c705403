//! What a guest does that a device model is to do for it: decoded from what Xen writes.

use xen_sys::xen_public::hvm::{
    BufferedIoreq, IOREQ_COPY, IOREQ_INVALIDATE, IOREQ_PCI_CONFIG, IOREQ_PIO, IOREQ_TIMEOFFSET, Ioreq,
};

use crate::host::PciAddress;

/// More repetitions than this are no request of Xen's, which splits long ones.
const MOST_REPETITIONS: u32 = 1 << 16;

/// What a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Io {
    /// It accesses a port: `in`, `out`, `ins`, `outs`. The port stays the same with each repetition.
    #[doc(alias = "IOREQ_TYPE_PIO")]
    Port(Access),
    /// It accesses memory that a device model emulates.
    #[doc(alias = "IOREQ_TYPE_COPY")]
    Memory(Access),
    /// It accesses a PCI device's configuration space. The address is that of a register.
    #[doc(alias = "IOREQ_TYPE_PCI_CONFIG")]
    PciConfig {
        /// Which device.
        device: PciAddress,
        /// How.
        access: Access,
    },
    /// It has set its clock.
    #[doc(alias = "IOREQ_TYPE_TIMEOFFSET")]
    TimeOffset {
        /// By how many seconds.
        seconds: i64,
    },
    /// It gave memory back, or moved it: what is mapped of it is out of date.
    #[doc(alias = "IOREQ_TYPE_INVALIDATE")]
    InvalidateMappings,
    /// Something that is no request of a known kind, or has a size or a number of repetitions that no request has.
    Unknown {
        /// What kind it said to be of.
        kind: u8,
    },
}

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The guest reads.
    Read,
    /// The guest writes.
    Write,
}

/// Where the guest has the data, or wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// In the request itself: the value that is written; nothing, if it reads.
    Value(u64),
    /// In its memory, from this address on. With each repetition, the address moves on.
    Memory(u64),
}

/// An access, or several of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Access {
    /// The port, or the address: the guest chose it, within what is mapped to the server.
    pub address: u64,
    /// How many bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Which way.
    pub direction: Direction,
    /// How often, as instructions with `rep` ask for: 1 to 65536.
    pub count: u32,
    /// Whether addresses go down with each repetition.
    pub descending: bool,
    /// Where the data are.
    pub operand: Operand,
}

impl Access {
    /// An access of an allowed size and number.
    fn new(address: u64, size: u32, is_read: bool, count: u32, flags: u8, data: u64) -> Option<Self> {
        let size = u8::try_from(size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        let count = Some(count).filter(|count| (1..=MOST_REPETITIONS).contains(count))?;
        let direction = if is_read { Direction::Read } else { Direction::Write };
        let operand = match direction {
            _ if flags & Ioreq::DATA_IS_PTR != 0 => Operand::Memory(data),
            Direction::Read => Operand::Value(0),
            Direction::Write => Operand::Value(low(data, size)),
        };
        Some(Self { address, size, direction, count, descending: flags & Ioreq::DESCENDING != 0, operand })
    }

    /// Where a repetition is, that begins at `start`, if addresses move.
    pub(super) fn moved(&self, start: u64, repetition: u32) -> u64 {
        let distance = u64::from(repetition) * u64::from(self.size);
        if self.descending { start.wrapping_sub(distance) } else { start.wrapping_add(distance) }
    }
}

/// The low `size` bytes of a value.
pub(super) fn low(value: u64, size: u8) -> u64 {
    let unused = 64 - 8 * u32::from(size.clamp(1, 8));
    value << unused >> unused
}

impl Io {
    /// What a vCPU's place in the page of synchronous requests says.
    pub(super) fn from_synchronous(record: &Ioreq) -> Self {
        let Ioreq { addr, data, count, size, flags, kind, .. } = *record;
        let access = |address| Access::new(address, size, flags & Ioreq::IS_READ != 0, count, flags, data);
        let io = match kind {
            IOREQ_PIO => access(addr).map(Self::Port),
            IOREQ_COPY => access(addr).map(Self::Memory),
            IOREQ_PCI_CONFIG => {
                let device = pci_address(addr >> 32);
                access(addr & 0xffff_ffff).map(|access| Self::PciConfig { device, access })
            }
            IOREQ_TIMEOFFSET => Some(Self::TimeOffset { seconds: signed(data) }),
            IOREQ_INVALIDATE => Some(Self::InvalidateMappings),
            _ => None,
        };
        io.unwrap_or(Self::Unknown { kind })
    }

    /// What an entry of the ring of buffered requests says, with the second half of its data if it is of 8 bytes.
    pub(super) fn from_buffered(entry: BufferedIoreq, second_half: Option<u32>) -> Self {
        let [kind, ..] = entry.head.to_le_bytes();
        let data = u64::from(entry.data) | u64::from(second_half.unwrap_or(0)) << 32;
        let (address, size) = (u64::from(entry.head >> 12), 1 << (entry.head >> 10 & 3));
        let access = || Access::new(address, size, entry.head >> 9 & 1 != 0, 1, 0, data);
        let io = match kind {
            _ if is_double(entry) && second_half.is_none() => None,
            IOREQ_PIO => access().map(Self::Port),
            IOREQ_COPY => access().map(Self::Memory),
            IOREQ_TIMEOFFSET => Some(Self::TimeOffset { seconds: signed(data) }),
            _ => None,
        };
        io.unwrap_or(Self::Unknown { kind })
    }

    /// The access, if it is one; and whether the device's addresses move with each repetition.
    pub(super) fn access(&self) -> Option<(&Access, bool)> {
        match self {
            Self::Memory(access) => Some((access, true)),
            Self::Port(access) | Self::PciConfig { access, .. } => Some((access, false)),
            _ => None,
        }
    }
}

/// Whether the data of a buffered request take two entries.
pub(super) fn is_double(entry: BufferedIoreq) -> bool {
    entry.head >> 10 & 3 == 3
}

fn signed(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

/// Segment, bus, device and function, from the low 32 bits.
fn pci_address(sbdf: u64) -> PciAddress {
    let [devfn, bus, segment @ ..] = sbdf.to_le_bytes();
    let segment = u16::from_le_bytes([segment[0], segment[1]]);
    PciAddress::new(segment, bus, devfn >> 3, devfn & 7).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xen_sys::zerocopy::{FromBytes, transmute};

    use super::*;

    const WRITE: Ioreq =
        Ioreq { addr: 0x510, data: 0x1234_5678, count: 1, size: 2, vp_eport: 9, pad: 0, flags: 1, kind: 0 };

    fn access(io: Io) -> Access {
        *io.access().expect("an access").0
    }

    #[test]
    fn a_write_carries_as_many_bytes_as_it_has() {
        let Io::Port(access) = Io::from_synchronous(&WRITE) else { panic!("a port") };
        assert_eq!((access.address, access.size, access.count), (0x510, 2, 1));
        assert_eq!((access.direction, access.operand), (Direction::Write, Operand::Value(0x5678)));
        assert_eq!(low(u64::MAX, 8), u64::MAX);
        assert_eq!(low(u64::MAX, 1), 0xff);
    }

    #[test]
    fn the_bits_of_the_flags_are_told_apart() {
        let of = |flags| access(Io::from_synchronous(&Ioreq { flags, ..WRITE }));
        assert_eq!(of(0x11).operand, Operand::Memory(0x1234_5678));
        assert_eq!((of(0x21).direction, of(0x21).operand), (Direction::Read, Operand::Value(0)));
        assert_eq!((of(0x31).direction, of(0x31).operand), (Direction::Read, Operand::Memory(0x1234_5678)));
        assert!(of(0x41).descending && !of(0x31).descending);
        assert_eq!((of(0x41).moved(100, 3), of(0x01).moved(100, 3)), (94, 106));
    }

    #[test]
    fn configuration_space_is_of_a_device() {
        let record = Ioreq { addr: 0x0002_03f9_0000_0044, kind: 2, size: 4, ..WRITE };
        let Io::PciConfig { device, access } = Io::from_synchronous(&record) else { panic!("PCI") };
        assert_eq!((device.to_string().as_str(), access.address), ("0002:03:1f.1", 0x44));
    }

    #[test]
    fn what_is_no_request_is_unknown() {
        for record in [
            Ioreq { size: 3, ..WRITE },
            Ioreq { size: 16, ..WRITE },
            Ioreq { size: 0x101, ..WRITE },
            Ioreq { count: 0, ..WRITE },
            Ioreq { count: 65_537, ..WRITE },
            Ioreq { count: u32::MAX, ..WRITE },
        ] {
            assert_eq!(Io::from_synchronous(&record), Io::Unknown { kind: 0 }, "{record:?}");
        }
        assert_eq!(Io::from_synchronous(&Ioreq { kind: 3, ..WRITE }), Io::Unknown { kind: 3 });
    }

    #[test]
    fn buffered_requests_are_packed() {
        // type 1, write, 4 bytes, address 0xb8000
        let entry = BufferedIoreq { head: 0xb_8000 << 12 | 2 << 10 | 1, data: 0xdead_beef };
        let Io::Memory(access) = Io::from_buffered(entry, None) else { panic!("memory") };
        assert_eq!((access.address, access.size, access.operand), (0xb_8000, 4, Operand::Value(0xdead_beef)));
        let entry = BufferedIoreq { head: 3 << 10 | 7, data: 0xffff_fffe };
        assert_eq!(Io::from_buffered(entry, Some(u32::MAX)), Io::TimeOffset { seconds: -2 });
        assert_eq!(Io::from_buffered(entry, None), Io::Unknown { kind: 7 }, "half of it is missing");
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_request(bytes: [u8; 32], half: Option<u32>) {
            let record = Ioreq::read_from_bytes(&bytes).expect("32 bytes");
            let entry: BufferedIoreq = transmute!(*bytes.first_chunk::<8>().expect("8 of them"));
            for io in [Io::from_synchronous(&record), Io::from_buffered(entry, half)] {
                if let Some((access, _)) = io.access() {
                    prop_assert!(matches!(access.size, 1 | 2 | 4 | 8));
                    prop_assert!((1..=65_536).contains(&access.count));
                    if let (Operand::Value(value), true) = (access.operand, access.size < 8) {
                        prop_assert!(value < 1 << (8 * access.size));
                    }
                }
            }
        }
    }
}
