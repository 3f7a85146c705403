//! What programs for administrators share: names of domains, and how their state is written.

use std::collections::HashMap;

use xen_ctrl::domain::{DomainFlags, DomainInfo, ShutdownReason};

use crate::xenstore::{Tree, Xenstore};

/// The names that toolstacks have given to domains. Xen does not know them: they are in xenstore.
#[derive(Debug)]
pub struct Names {
    store: Option<Xenstore>,
    known: HashMap<(u16, [u8; 16]), String>,
}

impl Names {
    /// Connects to xenstore. Without one, no domain has a name.
    #[must_use]
    pub fn open() -> Self {
        Self { store: Xenstore::open().ok(), known: HashMap::new() }
    }

    /// The name of a domain, or a dash. It is asked for once.
    pub fn of(&mut self, domain: &DomainInfo) -> String {
        let key = (domain.id.get(), domain.uuid.0);
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let path = format!("/local/domain/{}/name", domain.id);
        let name = self.store.as_mut().and_then(|store| store.read(&path).ok());
        match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                self.known.insert(key, name.clone());
                name
            }
            None => "-".to_owned(), // a toolstack may be about to write it
        }
    }

    /// The name of a cpupool, or a dash.
    pub fn of_cpupool(&mut self, id: u32) -> String {
        let name = self.store.as_mut().and_then(|store| store.read(&format!("/local/pool/{id}/name")).ok());
        let unnamed = if id == 0 { FIRST_CPUPOOL } else { "-" };
        name.unwrap_or_else(|| unnamed.to_owned())
    }
}

/// The name of the first cpupool, which has it from the start.
const FIRST_CPUPOOL: &str = "Pool-0";

/// The state of a domain as `xl` writes it: running, blocked, paused, shut down, crashed, dying; a dash for what it is not.
#[must_use]
pub fn state_letters(domain: &DomainInfo) -> String {
    let has = |flag| domain.flags.contains(flag);
    let crashed = domain.shutdown_reason == Some(ShutdownReason::Crash);
    let letters = [
        (has(DomainFlags::RUNNING), 'r'),
        (has(DomainFlags::BLOCKED), 'b'),
        (has(DomainFlags::PAUSED), 'p'),
        (has(DomainFlags::SHUTDOWN), 's'),
        (crashed, 'c'),
        (has(DomainFlags::DYING), 'd'),
    ];
    letters.iter().map(|&(is, letter)| if is { letter } else { '-' }).collect()
}

/// The memory of a domain, in KiB.
#[must_use]
pub fn memory_kib(domain: &DomainInfo) -> u64 {
    domain.pages * 4
}
