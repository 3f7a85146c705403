//! How many events there were, as far as anybody counts them.
//!
//! Xen itself counts no events. What this kernel counts is:
//! - events that it has handled: all those of this domain, timers and other virtual interrupts included;
//! - for each of its backends, the events that came from the frontend (Linux 5.12+). Together they are what a domain has sent to
//!   devices of this kernel: not to backends in user space, in other domains, or to xenstore.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use xen_ctrl::DomId;

/// Where this kernel counts its interrupts,
const INTERRUPTS: &str = "/proc/interrupts";
/// and where it has a folder for each of its backends.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";

/// Events since the start of what counts them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    own: Option<u64>,
    sent: HashMap<DomId, u64>,
}

impl Counts {
    /// Counts of this moment. What cannot be read counts nothing.
    pub(crate) fn read() -> Self {
        let own = fs::read_to_string(INTERRUPTS).ok().and_then(|table| handled(&table));
        Self { own, sent: sent(Path::new(BACKENDS)) }
    }

    /// Events of this domain, or those that another one has sent to it; `None` if nobody counts them.
    pub(crate) fn of(&self, domain: DomId) -> Option<u64> {
        if domain == DomId::ZERO { self.own } else { self.sent.get(&domain).copied() }
    }
}

/// The events in a table of interrupts: the rows of Xen's chips (`xen-dyn`, `xen-percpu` and others). `None` if there are none.
fn handled(table: &str) -> Option<u64> {
    let mut lines = table.lines();
    let cpus = lines.next()?.split_whitespace().count();
    let counts = lines.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let count: u64 = words.by_ref().take(cpus).map_while(|word| word.parse::<u64>().ok()).sum();
        words.next()?.starts_with("xen-").then_some(count)
    });
    counts.fold(None, |sum, count| Some(sum.unwrap_or(0) + count))
}

/// The events that each domain has sent to backends whose folders are in `backends`.
fn sent(backends: &Path) -> HashMap<DomId, u64> {
    let mut sent = HashMap::new();
    for backend in fs::read_dir(backends).into_iter().flatten().flatten() {
        let events = fs::read_to_string(backend.path().join("xenbus/events")).ok();
        let events = events.and_then(|text| text.trim().parse::<i32>().ok());
        if let (Some(domain), Some(events)) = (frontend(&backend.file_name().to_string_lossy()), events) {
            // the kernel counts to 2^32, and prints a signed number
            *sent.entry(domain).or_default() += u64::from(u32::from_ne_bytes(events.to_ne_bytes()));
        }
    }
    sent
}

/// The domain that a backend is for: 3, if it is called `vbd-3-51712`.
fn frontend(backend: &str) -> Option<DomId> {
    backend.split('-').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "           CPU0       CPU1       
  1:          0          9  xen-pirq    -ioapic-edge  i8042
 24:     123456          0  xen-percpu    -virq      timer0
 25:          7          1  xen-dyn    -event     xenbus
 26:          0         40  xen-dyn-lateeoi    -event     blkif-backend
 27:       1000       1000  PCI-MSIX-0000:00:03.0   0-edge      virtio0-config
NMI:          5          5   Non-maskable interrupts
ERR:          3
HYP:     999999     999999   Hypervisor callback interrupts
";

    #[test]
    fn only_the_rows_of_events_count() {
        assert_eq!(handled(TABLE), Some(9 + 123_456 + 8 + 40));
        assert_eq!((handled(&TABLE.replace("xen-", "GIC-")), handled("")), (None, None));
    }

    #[test]
    fn events_of_all_backends_of_a_domain_are_added() {
        let folder = std::env::temp_dir().join(format!("xen_top-{}", std::process::id()));
        let backends =
            [("vbd-3-51712", "17\n"), ("vif-3-0", "5\n"), ("vif-12-0", "-2\n"), ("vkbd-4-0", "nonsense")];
        for (name, events) in backends {
            let attributes = folder.join(name).join("xenbus");
            fs::create_dir_all(&attributes).expect("a folder");
            fs::write(attributes.join("events"), events).expect("a file");
        }
        fs::create_dir_all(folder.join("vbd-5-51712")).expect("as with Linux 5.10");
        let counts = Counts { own: Some(1), sent: sent(&folder) };
        fs::remove_dir_all(&folder).expect("removed");
        let domains = [0, 3, 4, 5, 12].map(|number| counts.of(DomId::new(number).expect("ordinary")));
        assert_eq!(domains, [Some(1), Some(22), None, None, Some(0xffff_fffe)]);
        assert!(sent(&folder).is_empty(), "no such folder");
    }

    #[test]
    fn other_names_are_no_backends() {
        assert_eq!(["vbd", "vbd-x-1", "", "vbd-70000-1"].map(frontend), [None; 4]);
    }
}
