//! The self-check program in dom0 of real Xen: one binary for every hypervisor and kernel.

mod tools;

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use examples::device_model::process::program;
use tools::{run, text};

/// A guest of the test bed, by its name. Destroyed when the test is over.
struct Guest(&'static str);

impl Guest {
    /// A tiny one, so that there is somebody to look at.
    fn mini(name: &'static str) -> Self {
        text("guest", &["mini", name]);
        Self(name)
    }

    /// Linux, which lets hypercalls out, runs the self-check, and powers off.
    fn that_checks_itself(name: &'static str, kind: &str) -> Self {
        let program = program("self_check").expect("it is there");
        let unrestricted = "xen_privcmd.unrestricted=1"; // kernels from before the block do not know it, and let them out anyway
        let program = program.to_str().expect("text");
        text(
            "guest",
            &["start", name, kind, "--append", unrestricted, "--file", program, "--", "/t/self_check"],
        );
        Self(name)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It is gone with the machine at the latest.
        run("guest", &["stop", self.0]);
    }
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

fn xl_info(field: &str) -> String {
    let text = text("xl", &["info"]);
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.trim_start().strip_prefix(':'));
    value.expect("a field of xl info").trim().to_owned()
}

#[test]
#[ignore = "needs Xen dom0"]
fn everything_works_in_dom0() {
    let _neighbour = Guest::mini("neighbour");
    let output = Command::new("self_check").output().expect("self_check");
    let lines = lines(&output);
    println!("{}", lines.join("\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(count(&lines, "FAILED "), 0);
    let (good, skipped) = (count(&lines, "ok "), count(&lines, "skipped "));
    assert!(good >= 20, "{good} checks");
    let may_be_skipped = |line: &&String| {
        line.contains("the kernel's block is named")
            || cfg!(target_arch = "aarch64") && line.contains("only a PV domain")
    };
    let excused = lines.iter().filter(|line| line.starts_with("skipped ")).filter(may_be_skipped).count();
    assert_eq!(excused, skipped, "nothing is skipped without need");
    let last = lines.last().expect("a last line");
    assert!(last.starts_with(&format!("Xen {}, Linux ", xl_info("xen_version"))), "{last}");
    assert!(last.ends_with(&format!("domain 0: {good} ok, 0 failed, {skipped} skipped")), "{last}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_guest_that_may_ask_xen_is_answered() {
    let kinds: &[&str] = if cfg!(target_arch = "x86_64") { &["--pv", "--pvh"] } else { &["--pvh"] };
    for kind in kinds {
        let _asker = Guest::that_checks_itself("asker", kind);
        text("guest", &["wait", "asker", "^@@GUEST EXIT"]);
        let log = text("guest", &["log", "asker"]);
        let lines: Vec<_> = log.lines().map(str::to_owned).collect();
        let skipped: Vec<_> = lines.iter().filter(|line| line.starts_with("skipped ")).collect();
        assert_eq!(count(&lines, "FAILED "), 0, "{kind}: {log}");
        assert!(
            lines.iter().any(|line| line.contains(" ok, 0 failed, ")),
            "it has come to its end: {kind}: {log}"
        );
        assert!(lines.iter().any(|line| line == "ok a hundred hypercalls in one"), "{kind}: {log}");
        println!("{kind}: {skipped:#?}");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_user_without_permission_is_told_which() {
    const NOBODY: u32 = 65534;
    let output = Command::new("self_check").uid(NOBODY).gid(NOBODY).output().expect("self_check");
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(1), "{lines:#?}");
    assert_eq!(count(&lines, "ok domain numbers"), 2, "numbers need no permission: {lines:#?}");
    for device in ["evtchn", "gntdev", "gntalloc", "privcmd"] {
        let path = format!("/dev/xen/{device}");
        let told = lines.iter().any(|line| line.starts_with("FAILED ") && line.contains(&path));
        assert!(told, "nothing is said of {path}: {lines:#?}");
    }
}
