//! What goes wrong in one cell is told as what it is, in time, and the others have their turn: on real machines that die.
//!
//! Run after anything that has fetched Xen 4.17: `cargo test -p xen-testbed --test faults -- --include-ignored`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Test programs of a project, in the order in which they run.
const PROGRAMS: [(&str, &str); 6] = [
    ("hw_a_good", "#[test] fn first() {}"),
    // half a result: the program ends, with success, before libtest can tell
    ("hw_b_half", "#[test] fn leaves() { std::process::exit(0) }"),
    // dom0's kernel panics
    ("hw_c_crash", r#"#[test] fn crashes() { std::fs::write("/proc/sysrq-trigger", "c").unwrap() }"#),
    // dom0 hangs: a real-time program leaves its one processor to nobody else
    (
        "hw_d_hang",
        r#"#[test] fn hangs() {
            std::fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1").unwrap();
            let (sched_setscheduler, fifo, priority) = (144_i64, 1, 99_i32);
            let status: i64;
            unsafe {
                std::arch::asm!("syscall", inlateout("rax") sched_setscheduler => status, in("rdi") 0, in("rsi") fifo,
                    in("rdx") &raw const priority, out("rcx") _, out("r11") _);
            }
            assert_eq!(status, 0);
            loop {}
        }"#,
    ),
    ("hw_e_slow", "#[test] fn sleeps() { std::thread::sleep(std::time::Duration::from_secs(1000)) }"),
    ("hw_f_good", "#[test] fn last() {}"),
];

/// The cache that other runs have filled.
fn filled_cache() -> PathBuf {
    std::env::var_os("XEN_TESTBED_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("xen-testbed"), PathBuf::from)
}

/// A cache that has Xen 4.17, a "4.20" whose dom0 kernel is none, and nothing else.
fn broken_cache(folder: &Path) {
    let filled = filled_cache();
    let link = |from: &str, to: &str| {
        let from = filled.join(from);
        assert!(from.exists(), "{} is missing: `cargo xen run -- true` fetches it", from.display());
        fs::create_dir_all(folder.join(to).parent().expect("a folder in the cache")).expect("made");
        symlink(from, folder.join(to)).expect("linked");
    };
    link("tools/xen-4.17-amd64", "tools/xen-4.17-amd64");
    link("tools/xen-4.17-amd64", "tools/xen-4.20-amd64");
    link("linux/bookworm-linux-image-amd64", "linux/bookworm-linux-image-amd64");
    if filled.join("qemu").exists() {
        link("qemu", "qemu");
    }
    let kernel = folder.join("linux/trixie-linux-image-amd64");
    for file in ["packages", "kernel-version", "modules"] {
        let from = format!("linux/bookworm-linux-image-amd64/{file}");
        link(&from, &format!("linux/trixie-linux-image-amd64/{file}"));
    }
    fs::write(kernel.join("vmlinux"), "no kernel".repeat(1000)).expect("written");
}

fn project(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder of the project")).expect("made");
        fs::write(path, text).expect("written");
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"faulty\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    write("src/lib.rs", "");
    for (name, text) in PROGRAMS {
        write(&format!("tests/{name}.rs"), text);
    }
}

fn run(project: &Path, cache: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xen-testbed"))
        .args(["--xen", "4.14,4.17,4.20", "test", "--dom0-only", "--timeout", "3"])
        .current_dir(project)
        .env("XEN_TESTBED_CACHE", cache)
        .env("XEN_TESTBED_ARCHIVE", "file:/nowhere")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("the test bed starts")
}

#[test]
#[ignore = "boots machines: after `cargo xen run -- true`"]
fn every_fault_is_told_and_stops_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (cache, faulty) = (folder.path().join("cache"), folder.path().join("faulty"));
    broken_cache(&cache);
    project(&faulty);

    let start = Instant::now();
    let output = run(&faulty, &cache);
    let told = String::from_utf8_lossy(&output.stdout);
    let noted = String::from_utf8_lossy(&output.stderr);
    let all = format!("{told}\n{noted}");
    assert!(start.elapsed() < Duration::from_secs(600), "{:?}: {all}", start.elapsed());
    assert_eq!(output.status.code(), Some(1), "{all}");

    for failure in [
        "FAILED on 4.14: it cannot be tested: apt-get could not fetch",
        "FAILED on 4.17 faulty hw_b_half: it ended with status 0 and without 1 of 1 results",
        "FAILED on 4.17 faulty hw_c_crash: dom0's kernel has panicked",
        "FAILED on 4.17 faulty hw_d_hang: waited 23 seconds for the program to end, in vain",
        "FAILED on 4.17 faulty hw_e_slow: killed without a result; it may take 3 seconds",
        "FAILED on 4.20 faulty hw_a_good: Xen has panicked",
    ] {
        assert!(told.contains(failure), "no {failure:?} in:\n{all}");
    }
    assert!(noted.contains("Panic on CPU 0"), "Xen's own words:\n{all}");
    assert!(told.contains("Comm: hangs"), "dom0's kernel is asked what it is doing:\n{all}");
    assert!(told.contains("CONTEXT: hypervisor"), "and so is Xen:\n{all}");
    let row = told.lines().find(|line| line.starts_with("4.17 ")).expect("a line for the cell");
    let numbers: Vec<_> = row.split_whitespace().collect();
    assert_eq!(numbers[1..4], ["2", "4", "0"], "the good programs before and after passed:\n{all}");
}
