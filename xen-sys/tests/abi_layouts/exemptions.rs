//! What looks like a part of the ABI and is none, or has no name in C.

/// Item and reason. Items are `RECORD`, `RECORD::field`, `CONSTANT`, `TYPE::CONSTANT` or `TRAIT::CONSTANT`.
pub(crate) const NOT_OF_THE_ABI: &[(&str, &str)] = &[
    // Records and fields
    ("Reset", "IOCTL_EVTCHN_RESET has no operand; its number says so"),
    ("Restrict::domid", "IOCTL_PRIVCMD_RESTRICT takes a plain domid_t, no structure"),
    ("Grant::domid", "the lower half of C's 32-bit field; its upper half is always zero"),
    ("CopySegment::raw", "the record itself, which has a layout of its own"),
    ("CreateDomain414::head", "fields of C's own, which CreateDomainHead has"),
    ("CreateDomain415::head", "as above"),
    ("CreateDomain416::head", "as above"),
    ("CreateDomain417::head", "as above"),
    ("CreateDomain419::head", "as above"),
    ("CreateDomain421::head", "as above"),
    ("DomainInfo414::head", "fields of C's own, which DomainInfoHead has"),
    ("DomainInfo416::head", "as above"),
    ("PhysInfo414::head", "fields of C's own, which PhysInfoHead has"),
    ("PhysInfo417::head", "as above"),
    ("MapEntry", "the PC firmware's; no public header has a structure for it"),
    ("CoreRegisters::x", "C has 31 fields, x0 to x30"),
    ("CoreRegisters414::x", "as above"),
    // Constants of the ABI that no public header defines
    ("DomId::ZERO", "C has no name for dom0's number"),
    ("PAGE_SIZE", "defined by libxenctrl and by the hypervisor, each for itself"),
    // The crate's own
    ("GrantStatus::UNKNOWN", "our word for an outcome that nobody told"),
    ("GuestMemory::NULL", "no number"),
    ("VAR_BUF_BYTES", "the room that we give to answers"),
    ("SMALL", "when requests are built on the stack"),
    ("LARGE", "when requests are built on the stack"),
    (
        "LivepatchEntry",
        "what an operation of ours lays out in its memory; Xen gets an address for each field",
    ),
    ("LivepatchEntry::METADATA_SIZE", "the hypervisor's own limit for patches, which is in no public header"),
    ("NumaInfo::COUNT", "an operation"),
    ("PerfCounters::COUNT", "an operation"),
    ("PerfCounters::RESET", "an operation"),
    ("PerfCounters::MAX_COUNTERS", "the room that we give to answers"),
    ("PerfCounters::MAX_VALUES", "the room that we give to answers"),
    ("UNION", "an anonymous union; the size of the whole record says it"),
    // Facts about types
    ("Sysctl::COMMAND", "made by command!, which names it"),
    ("Domctl::COMMAND", "as above"),
    ("Domctl::STABLE", "a property of an operation"),
    ("Driver::PATH", "a file's name"),
    ("Driver::MODULE", "a kernel module's name"),
    ("Operation::NAME", "a name for messages"),
    ("Operation::WIDE", "how the result comes back"),
    ("Access::WRITABLE", "a property of a type of ours"),
    ("Ioctl::IS_MUTATING", "a promise to rustix"),
];
