//! The program looks into a Linux guest that runs beside it, on real Xen.

use std::process::{Command, Output};

/// Destroys the guest when the test is over.
struct Guest(&'static str);

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = Command::new("guest").args(["stop", self.0]).output();
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect(program)
}

fn text(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Starts a guest, whose command prints its own idea of the banner, and looks for it from here.
fn banner_of_a_guest(name: &'static str, kind: &str) -> (Guest, String, String) {
    let command = ["start", name, kind, "--memory", "192", "--", "cat /proc/version; sleep 1000"];
    let guest = Guest(name);
    let domain = text("guest", &command);
    let version = text("guest", &["wait", name, "^Linux version ", "60"]);
    let found = text("guest_peek", &[&domain, "--banner"]);
    let (address, banner) = found.split_once(": ").expect("ADDRESS: BANNER");
    assert_eq!(banner, version.trim(), "what the guest says of itself");
    (guest, domain, address.to_owned())
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_banner_of_a_pvh_guest_is_found_and_dumped() {
    let (_guest, domain, address) = banner_of_a_guest("peek-pvh", "--pvh");
    let dump = text("guest_peek", &[&domain, &address, "40"]);
    let lines: Vec<_> = dump.lines().collect();
    assert_eq!(lines.len(), 3, "{dump}");
    let (bytes, text) = ("4c 69 6e 75 78 20 76 65 72 73 69 6f 6e 20 ", "|Linux version ");
    assert!(lines[0].contains(bytes) && lines[0].contains(text), "{dump}");
    let output = run("guest_peek", &[&domain, "0xfffffffff000"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && message.contains("has no memory at address 0xfffffffff000"),
        "{message}"
    );
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_banner_of_a_pv_guest_is_found_among_all_frames_of_the_machine() {
    drop(banner_of_a_guest("peek-pv", "--pv"));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_that_is_not_there_is_named() {
    let output = run("guest_peek", &["4321", "0x1000"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("domain 4321 has no memory"), "{message}");
}
