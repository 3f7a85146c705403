//! What tests on real Xen share.
#![allow(dead_code, reason = "not every test program uses everything")]

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use xen_ctrl::{DomId, Domain, Xenctrl};

/// The handle.
pub(crate) fn xenctrl() -> Xenctrl {
    Xenctrl::open().expect("the hypervisor")
}

/// What a program of dom0 says.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `xl info` says.
pub(crate) fn xl_info() -> HashMap<String, String> {
    let text = output("xl", &["info"]);
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// The columns that `xl list` prints for a domain: name, number, MiB, vCPUs, state, seconds.
pub(crate) fn xl_list(domain: DomId) -> Vec<String> {
    let text = output("xl", &["list", &domain.to_string()]);
    let line = text.lines().nth(1).expect("a line for the domain");
    line.split_whitespace().map(str::to_owned).collect()
}

/// The CPU that the test bed keeps out of the first cpupool.
pub(crate) fn free_cpu(xen: &Xenctrl) -> u32 {
    xen.free_cpus().expect("answered").first().expect("the test bed sets one aside")
}

/// Whether dom0's kernel, or a module that is loaded, has a function.
pub(crate) fn kernel_has(function: &str) -> bool {
    let symbols = fs::read_to_string("/proc/kallsyms").expect("the kernel's symbols");
    // behind the name of one of a module's, the module's name follows
    ['\t', '\n'].iter().any(|end| symbols.contains(&format!(" {function}{end}")))
}

/// A tiny guest, destroyed when dropped.
pub(crate) struct Guest {
    name: &'static str,
    pub(crate) id: DomId,
}

impl Guest {
    /// Starts one, which waits for events.
    pub(crate) fn start(name: &'static str) -> Self {
        let line = output("guest", &["mini", name]);
        let id = line.split_whitespace().find_map(|word| word.strip_prefix("domid=")?.parse().ok());
        Self { name, id: id.unwrap_or_else(|| panic!("no domain in '{line}'")) }
    }

    /// Its operations.
    pub(crate) fn domain<'a>(&self, xen: &'a Xenctrl) -> Domain<'a> {
        xen.domain(self.id)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // a test may have destroyed it
        let _ = Command::new("guest").args(["stop", self.name]).output();
    }
}
