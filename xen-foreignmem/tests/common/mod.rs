//! Guests of the test bed.

use std::mem::ManuallyDrop;
use std::process::{Child, Command, Stdio};
use xen_foreignmem::{DomId, Gfn};

/// A guest that was started for a test, and is destroyed after it.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) domain: DomId,
}

impl Guest {
    /// A tiny guest, and the line in which it tells its grants.
    pub(crate) fn mini(name: &str) -> (Self, String) {
        let line = run("guest", &["mini", name]);
        let domain = field(&line, "domid").parse().expect("a domain");
        (Self { name: name.into(), domain }, line)
    }

    /// A Linux guest of 256 MiB, whose frames Xen translates, and which has booted. If it runs already, it is taken as it is,
    /// and it stays for the next test program: to boot one takes many seconds.
    pub(crate) fn linux() -> ManuallyDrop<Self> {
        const NAME: &str = "linux-pvh";
        let guests = run("guest", &["list"]);
        let running = guests.lines().find_map(|line| line.strip_suffix(NAME)?.strip_suffix(' '));
        let domain = running.map_or_else(
            || run("guest", &["start", NAME, "--pvh", "--", "cat /proc/version; sleep 1000000"]),
            str::to_owned,
        );
        run("guest", &["wait", NAME, "^Linux version ", "60"]);
        ManuallyDrop::new(Self { name: NAME.into(), domain: domain.parse().expect("a domain") })
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

/// Stops a guest once this process has ended, in whatever way: its end of the pipe is closed then.
pub(crate) fn stop_after_us(name: &str) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat; exec guest stop \"$0\"", name]);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
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
