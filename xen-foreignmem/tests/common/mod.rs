//! Guests of the test bed.

use std::process::Command;
use xen_foreignmem::{DomId, Gfn};

/// A guest that was started for a test, and is destroyed after it.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) domain: DomId,
}

impl Guest {
    /// A tiny PV guest, and the line in which it tells its grants.
    pub(crate) fn mini(name: &str) -> (Self, String) {
        let line = run("guest", &["mini", name]);
        let domain = field(&line, "domid").parse().expect("a domain");
        (Self { name: name.into(), domain }, line)
    }

    /// A PVH Linux guest that has booted.
    pub(crate) fn linux(name: &str, mebibytes: u32) -> Self {
        let memory = mebibytes.to_string();
        let domain = run("guest", &["start", name, "--pvh", "--memory", &memory]);
        let guest = Self { name: name.into(), domain: domain.parse().expect("a domain") };
        run("guest", &["wait", name, "@@GUEST START", "60"]);
        guest
    }

    /// Runs `body` while the guest does nothing.
    pub(crate) fn paused<R>(&self, body: impl FnOnce() -> R) -> R {
        run("xl", &["pause", &self.name]);
        let result = body();
        run("xl", &["unpause", &self.name]);
        result
    }

    /// The frame of the console's ring, as xenstore has it.
    pub(crate) fn console_ring(&self) -> Gfn {
        let path = format!("/local/domain/{}/console/ring-ref", self.domain);
        run("xenstore-read", &[&path]).parse().expect("a frame")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // A test may have stopped it already.
        let _ = Command::new("guest").args(["stop", &self.name]).output();
    }
}

/// The value of `key=value` in a line.
pub(crate) fn field<'a>(line: &'a str, key: &str) -> &'a str {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {key} in '{line}'"))
}

/// Runs a command of dom0, and returns what it prints.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
