//! The program looks into a Linux guest that runs beside it, on real Xen.

mod tools;

use tools::{run, text};

/// The number of a Linux guest that has booted, and its own idea of the banner. If it runs already, it is taken as it is,
/// and it stays for the next test program: to boot one takes many seconds.
fn linux_guest() -> (String, String) {
    const NAME: &str = "linux-pvh";
    let guests = text("guest", &["list"]);
    let running = guests.lines().find_map(|line| line.strip_suffix(NAME)?.strip_suffix(' '));
    let domain = running.map_or_else(
        || text("guest", &["start", NAME, "--pvh", "--", "cat /proc/version; sleep 1000000"]),
        str::to_owned,
    );
    (domain, text("guest", &["wait", NAME, "^Linux version "]))
}

/// Finds the banner in a guest's memory: its address, and the text.
fn banner_in(domain: &str) -> (String, String) {
    let found = text("guest_peek", &[domain, "--banner"]);
    let (address, banner) = found.split_once(": ").expect("ADDRESS: BANNER");
    (address.to_owned(), banner.to_owned())
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_banner_of_a_pvh_guest_is_found_and_dumped() {
    let (domain, version) = linux_guest();
    let (address, banner) = banner_in(&domain);
    assert_eq!(banner, version, "what the guest says of itself");
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
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: there are PV guests on x86-64 only");
        return;
    }
    let (_, version) = linux_guest();
    // The same kernel. It need not boot: the banner is there from the beginning.
    let domain = text("guest", &["start", "linux-pv", "--pv", "--memory", "192"]);
    text("xl", &["pause", &domain]);
    let (_, banner) = banner_in(&domain);
    text("guest", &["stop", "linux-pv"]);
    assert_eq!(banner, version);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_that_is_not_there_is_named() {
    let output = run("guest_peek", &["4321", "0x1000"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("domain 4321 has no memory"), "{message}");
}
