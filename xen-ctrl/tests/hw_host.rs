//! The host on real Xen, compared with what `xl` and dom0 say.

mod common;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::{free_cpu, output, xenctrl, xl_info};
use xen_ctrl::domain::{CreateDomain, DomainKind};
use xen_ctrl::host::{CpuPlace, Host, MemoryRegion, Numa, PageResult, PageState, PciNode};
use xen_ctrl::memory::Allocation;
use xen_ctrl::{Error, Mfn};

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

/// The error says that this Xen does not have it.
fn is_unsupported<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unsupported { .. }))
}

/// The lines of `xl info -n` behind the one that begins with `heading`: the number in front of the colon, and the fields after it.
fn xl_topology(heading: &str) -> Vec<(String, Vec<String>)> {
    let text = output("xl", &["info", "-n"]);
    let lines = text.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    lines
        .map_while(|line| line.trim().split_once(':'))
        .take_while(|(number, _)| number.parse::<u32>().is_ok())
        .map(|(number, fields)| (number.to_owned(), fields.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// Fields of dom0's first processor.
fn cpuinfo(field: &str) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").expect("it is there");
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == field));
    line.and_then(|line| line.split_once(':')).expect(field).1.trim().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_console_is_read_followed_and_taken() {
    let xen = xenctrl();
    let host = xen.host();
    let all = text(&host.read_console().expect("a console"));
    assert!(all.contains("Xen version") || all.contains("(XEN)"), "{all}");
    let xl = output("xl", &["dmesg"]);
    let first_lines = |text: &str| text.lines().take(20).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first_lines(all.trim()), first_lines(&xl), "nothing has been overwritten meanwhile");

    let mut reader = host.console_reader(None).expect("memory");
    let before: usize = reader.by_ref().map(|piece| piece.expect("a console").bytes.len()).sum();
    assert!(before >= all.len(), "{before} bytes");
    host.send_debug_keys("h").expect("pressed");
    let news: Vec<u8> = reader.by_ref().flat_map(|piece| piece.expect("a console").bytes).collect();
    assert!(text(&news).contains("'h' pressed -> "), "{}", text(&news));
    assert!(output("xl", &["dmesg"]).contains("'h' pressed -> "));

    let position = reader.position();
    host.send_debug_keys("h").expect("pressed");
    let mut reader = host.console_reader(position).expect("memory");
    let again = reader.read().expect("a console");
    assert_eq!(again.lost, 0);
    assert!(text(&again.bytes).starts_with("(XEN)"), "{}", text(&again.bytes));

    let taken = host.take_console().expect("a console");
    assert!(text(&taken).contains("'h' pressed -> "));
    let left = text(&host.read_console().expect("a console"));
    assert!(!left.contains("'h' pressed -> "), "{left}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn cpus_are_where_xl_says_and_their_idle_time_grows() {
    let xen = xenctrl();
    let host = xen.host();
    let places = host.cpu_topology().expect("a topology");
    let described: Vec<_> = places
        .iter()
        .enumerate()
        .filter_map(|(cpu, place)| {
            let CpuPlace { core, socket, node, .. } = (*place)?;
            let fields = [core, socket, node.unwrap_or(0)].map(|number| number.to_string());
            Some((cpu.to_string(), fields.to_vec()))
        })
        .collect();
    assert_eq!(described, xl_topology("cpu_topology"));

    let begin = Instant::now();
    let before = host.cpu_idle_times().expect("times");
    thread::sleep(Duration::from_millis(300));
    let after = host.cpu_idle_times().expect("times");
    let passed = begin.elapsed();
    assert_eq!(before.len(), usize::try_from(host.info().expect("numbers").max_cpu).expect("few") + 1);
    assert!(after[0] > before[0], "we slept, and Xen idled: {before:?} {after:?}");
    assert!(after[0] <= before[0] + passed, "{before:?} {after:?}, and {passed:?} have passed");
}

#[test]
#[ignore = "needs Xen dom0"]
fn nodes_have_the_memory_that_xl_says() {
    let xen = xenctrl();
    let host = xen.host();
    let numa = host.numa().expect("NUMA");
    let lines = xl_topology("numa_info");
    let Numa { nodes, .. } = &numa;
    assert_eq!(nodes.iter().flatten().count(), lines.len());
    for (number, fields) in lines {
        let node = number.parse().expect("a number");
        let known = nodes[usize::try_from(node).expect("few")].expect("xl knows it");
        assert_eq!((known.memory >> 20).to_string(), fields[0], "{fields:?}");
        assert_eq!(numa.distance(node, node).map(|distance| distance.to_string()).as_ref(), fields.get(2));
    }

    let all = host.free_memory(MemoryRegion::default()).expect("told");
    let free = host.info().expect("numbers").free_pages * 4096;
    assert!(all.abs_diff(free) <= 4 << 20, "{all} {free}");
    let node = |node| MemoryRegion { node: Some(node), ..MemoryRegion::default() };
    assert!(host.free_memory(node(0)).expect("told").abs_diff(all) <= 4 << 20, "the one node has it all");
    assert_eq!(host.free_memory(node(63)).expect("told"), 0, "no such node");
    let above = MemoryRegion { above_bits: Some(50), ..MemoryRegion::default() };
    assert_eq!(host.free_memory(above).expect("told"), 0, "no host has so much");
    let below = MemoryRegion { below_bits: Some(20), ..MemoryRegion::default() };
    assert!(host.free_memory(below).expect("told") <= 1 << 20);
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_scheduler_is_the_one_that_xl_names() {
    assert_eq!(xenctrl().host().scheduler().expect("told").to_string(), xl_info()["xen_scheduler"]);
}

#[test]
#[ignore = "needs Xen dom0"]
fn devices_are_known_or_not() {
    let xen = xenctrl();
    let devices = ["0000:00:00.0", "0000:fe:1f.7"].map(|text| text.parse().expect("an address"));
    let nodes = xen.host().pci_nodes(&devices);
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(&nodes), "{nodes:?}");
        return;
    }
    let nodes = nodes.expect("answered");
    assert!(matches!(nodes[..], [PciNode::Any | PciNode::Node(0), PciNode::NoSuchDevice]), "{nodes:?}");
    assert_eq!(xen.host().pci_nodes(&[]).expect("nothing to ask"), []);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_cpu_is_switched_off_and_on() {
    let xen = xenctrl();
    let host = xen.host();
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(&host.offline_cpu(0)) && is_unsupported(&host.enable_smt()));
        return;
    }
    assert_eq!(host.offline_cpu(0).expect_err("it stays on").errno(), Some(EINVAL));
    assert_eq!(host.offline_cpu(4000).expect_err("no such CPU").errno(), Some(EINVAL));
    assert_eq!(host.online_cpu(4000).expect_err("no such CPU").errno(), Some(EINVAL));
    assert_eq!(host.online_cpu(0).expect_err("it is on").errno(), Some(EEXIST));
    assert!(is_unsupported(&host.disable_smt()), "this processor has one thread for each core");

    let cpu = free_cpu(&xen);
    let online = || host.info().expect("the host").cpus;
    let before = online();
    let is_on = || host.cpu_state(cpu).expect("answered").expect("it is there").online;
    assert!(is_on());
    host.offline_cpu(cpu).expect("nobody needs it");
    assert!(!is_on() && !xen.free_cpus().expect("answered").contains(cpu));
    assert_eq!(online(), before - 1, "the other hypercall agrees");
    assert_eq!(xl_info()["nr_cpus"], online().to_string());
    host.online_cpu(cpu).expect("back");
    assert!(is_on());
    assert_eq!(online(), before);
    // where Xen puts it
    if xen.cpupool(0).info().expect("the first cpupool").cpus.contains(cpu) {
        xen.cpupool(0).remove_cpu(cpu).expect("free again");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn processors_are_those_that_dom0_sees() {
    let xen = xenctrl();
    let host = xen.host();
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(&host.cpu_version(0)) && is_unsupported(&host.cpu_state(0)));
        assert!(is_unsupported(&host.microcode(0)));
        return;
    }
    let version = host.cpu_version(0).expect("answered").expect("it is on");
    assert_eq!(version.vendor, cpuinfo("vendor_id"));
    assert_eq!(version.family.to_string(), cpuinfo("cpu family"));
    assert_eq!(version.model.to_string(), cpuinfo("model"));
    assert_eq!(version.stepping.to_string(), cpuinfo("stepping"));
    let state = host.cpu_state(0).expect("answered").expect("it is there");
    assert!(state.online);
    assert_eq!(state.apic_id.to_string(), cpuinfo("apicid"));
    assert_eq!(host.cpu_version(4000).expect("answered"), None);
    assert_eq!(host.cpu_state(4000).expect("answered"), None);
    if xen.version().minor < 18 {
        assert!(is_unsupported(&host.microcode(0)));
        return;
    }
    let microcode = host.microcode(0).expect("answered");
    if microcode.signature == 0 {
        println!("skipped: this Xen knows nothing of the emulated processor's microcode: {microcode:?}");
        return;
    }
    let revision = cpuinfo("microcode");
    assert_eq!(format!("{:#x}", microcode.revision), revision, "{microcode:x?}");
}

/// Sets a limit on C-states, as `set` does, and reads it back; puts back what there was.
fn limits_stick(
    host: Host<'_>,
    get: impl Fn(Host<'_>) -> Result<Option<u32>, Error>,
    set: impl Fn(Host<'_>, Option<u32>) -> Result<(), Error>,
) {
    let before = get(host).expect("told");
    for limit in [Some(1), Some(0), None, before] {
        set(host, limit).expect("set");
        assert_eq!(get(host).expect("told"), limit);
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn sleep_can_be_limited() {
    let xen = xenctrl();
    let host = xen.host();
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(&host.max_cstate()) && is_unsupported(&host.set_smt_power_savings(true)));
        return;
    }
    limits_stick(host, |host| host.max_cstate(), |host, limit| host.set_max_cstate(limit));
    limits_stick(host, |host| host.max_cstate_substate(), |host, limit| host.set_max_cstate_substate(limit));
    let before = host.set_smt_power_savings(true).expect("set");
    assert!(host.set_smt_power_savings(false).expect("set"), "what was just set");
    assert!(!host.set_smt_power_savings(before).expect("set"), "what was just set");
}

#[test]
#[ignore = "needs Xen dom0"]
fn counters_are_there_if_xen_was_built_with_them() {
    let xen = xenctrl();
    let host = xen.host();
    let counters = host.perf_counters();
    if is_unsupported(&counters) {
        assert!(is_unsupported(&host.reset_perf_counters()));
        println!("skipped: this Xen was built without performance counters");
        return;
    }
    let counters = counters.expect("answered");
    let sum = |name: &str| {
        let counters = host.perf_counters().expect("answered");
        let counter = counters.into_iter().find(|counter| counter.name == name);
        counter.expect(name).values.into_iter().map(u64::from).sum::<u64>()
    };
    assert!(counters.len() > 50, "{}", counters.len());
    assert!(
        counters.iter().all(|counter| !counter.name.is_empty() && !counter.values.is_empty()),
        "{counters:?}"
    );
    let before = sum("hypercalls");
    host.reset_perf_counters().expect("reset");
    let after = sum("hypercalls");
    assert!(after > 0 && after < before, "{before} hypercalls until now, then {after}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn locks_are_told_if_xen_was_built_for_it() {
    let xen = xenctrl();
    let host = xen.host();
    let statistics = host.lock_statistics();
    if is_unsupported(&statistics) {
        assert!(is_unsupported(&host.reset_lock_statistics()));
        println!("skipped: this Xen was built without statistics on locks");
        return;
    }
    let statistics = statistics.expect("answered");
    assert!(statistics.locks.iter().any(|lock| lock.domain.is_some()), "{statistics:?}");
    assert!(statistics.locks.iter().any(|lock| lock.domain.is_none() && lock.taken > 0), "{statistics:?}");
    host.reset_lock_statistics().expect("reset");
    assert!(host.lock_statistics().expect("answered").measured < statistics.measured);
}

#[test]
#[ignore = "needs Xen dom0"]
fn no_patches_are_loaded() {
    let xen = xenctrl();
    let patches = xen.host().livepatches();
    if is_unsupported(&patches) {
        println!("skipped: this Xen was built without live patching");
        return;
    }
    assert!(patches.expect("answered").is_empty());
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_free_page_is_taken_out_of_use_and_put_back() {
    let xen = xenctrl();
    let host = xen.host();
    let nowhere = Mfn::new(0xffff_fff0)..Mfn::new(0xffff_fff1);
    assert_eq!(host.page_states(nowhere).expect_err("no such frame").errno(), Some(EINVAL));
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: only x86 has domains that tell which frame was theirs a moment ago");
        return;
    }
    if xen.version().minor < 20 {
        println!(
            "skipped: Xen 4.14 and 4.17 panic when memory is freed next to a page that was taken out of use"
        );
        return;
    }
    // never with a page of a PV domain: newer Xens hang
    let domain = xen.create_domain(&CreateDomain::new(DomainKind::Pv)).expect("a domain");
    domain.set_max_memory(4 << 10).expect("limited");
    // a large piece, because small ones may be what Xen's own image has left, where no page can be taken out
    let frames = domain.memory().increase_exact(1, Allocation::of_order(9)).expect("pages");
    domain.memory().decrease_exact(&frames, 9).expect("free again");
    let frame = Mfn::new(frames[0].get());
    let page = || frame..Mfn::new(frame.get() + 1);
    let free = || host.free_memory(MemoryRegion::default()).expect("told");
    assert_eq!(host.page_states(page()).expect("told"), [PageState::empty()]);
    let before = free();
    let outcome = host.offline_pages(page()).expect("dealt with");
    assert_eq!(outcome[0].result, PageResult::Done, "{outcome:?}");
    assert_eq!(host.page_states(page()).expect("told"), [PageState::OFFLINE]);
    assert_eq!(free(), before - 4096);
    let outcome = host.online_pages(page()).expect("dealt with");
    assert_eq!(outcome[0].result, PageResult::Done, "{outcome:?}");
    assert_eq!(host.page_states(page()).expect("told"), [PageState::empty()]);
    assert_eq!(free(), before, "Xen has it again");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use xen_ctrl::DomId;
    use xen_ctrl::domain::{CreateDomain, DomainKind};
    use xen_ctrl::host::{CpuPolicy, CpuidLeaf, FeatureSet, SystemPolicy};

    use super::common::Guest;
    use super::{EEXIST, EINVAL, cpuinfo, xenctrl, xl_info};

    fn vendor(policy: &CpuPolicy) -> String {
        let leaf = policy.leaf(0, None).expect("leaf 0");
        let words = [leaf.ebx, leaf.edx, leaf.ecx];
        words.iter().flat_map(|word| word.to_le_bytes()).map(char::from).collect()
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn features_are_those_that_xl_prints() {
        let xen = xenctrl();
        let features = |set| xen.host().cpu_features(set).expect("told");
        let host = features(FeatureSet::Host);
        // AMD's processors repeat words of leaf 1 in leaf 0x8000_0001: one of both hypercalls tells these bits, too
        let alike = |(index, word): (usize, u32)| if index == 2 { word & !0x0183_f3ff } else { word };
        let words: Vec<u32> = host.iter().copied().take(8).enumerate().map(alike).collect();
        let told = xl_info()["hw_caps"].clone();
        let told = told.split(':').map(|word| u32::from_str_radix(word, 16).expect("a word"));
        assert_eq!(words, told.enumerate().map(alike).collect::<Vec<_>>());
        for set in [FeatureSet::Raw, FeatureSet::Pv, FeatureSet::Hvm, FeatureSet::PvMax, FeatureSet::HvmMax] {
            assert_eq!(features(set).len(), host.len(), "{set:?}");
        }
        let (some, most) = (features(FeatureSet::Pv), features(FeatureSet::PvMax));
        assert!(some.iter().zip(&most).all(|(some, most)| some & !most == 0), "{some:x?} of {most:x?}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn policies_name_the_processor() {
        let xen = xenctrl();
        for policy in
            [SystemPolicy::Raw, SystemPolicy::Host, SystemPolicy::PvDefault, SystemPolicy::HvmDefault]
        {
            let policy = xen.host().cpu_policy(policy).expect("told");
            assert_eq!(vendor(&policy), cpuinfo("vendor_id"));
            assert!(policy.leaf(1, None).is_some_and(|leaf| leaf.edx & 1 != 0), "it has an FPU: {policy:x?}");
        }
        let most = xen.host().cpu_policy(SystemPolicy::PvMax).expect("told");
        let features = xen.host().cpu_features(FeatureSet::PvMax).expect("told");
        let leaf = most.leaf(1, None).expect("leaf 1");
        assert_eq!((leaf.edx, leaf.ecx), (features[0], features[1]), "the same features");
        assert_eq!(most.leaf(0x1234_5678, None), None);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn the_policy_of_a_new_domain_can_be_changed() {
        /// The first letters of the processor's name.
        const NAME: u32 = 0x8000_0002;
        const ERANGE: i32 = 34;
        let xen = xenctrl();
        let domain = xen.create_domain(&CreateDomain::new(DomainKind::Hvm)).expect("created");
        let before = domain.cpu_policy().expect("told");
        let old = *before.leaf(NAME, None).expect("the processor has a name");
        let new = CpuidLeaf { eax: u32::from_le_bytes(*b"Rust"), ..old };
        domain.set_cpu_policy(&CpuPolicy { leaves: vec![new], msrs: Vec::new() }).expect("changed");
        let after = domain.cpu_policy().expect("told");
        assert_eq!(after.leaf(NAME, None), Some(&new));
        assert_eq!(after.leaves.len(), before.leaves.len(), "the others stay");
        assert_eq!((after.leaf(0, None), &after.msrs), (before.leaf(0, None), &before.msrs));
        let unknown = CpuPolicy { leaves: vec![CpuidLeaf { leaf: 0x1234_5678, ..old }], msrs: Vec::new() };
        let error = domain.set_cpu_policy(&unknown).expect_err("no such leaf");
        assert_eq!(error.errno(), Some(ERANGE));
        assert!(error.to_string().ends_with("Xen objects to CPUID leaf 0x12345678"), "{error}");
        domain.destroy().expect("destroyed");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn the_policy_of_a_domain_that_has_run_stays() {
        let xen = xenctrl();
        let guest = Guest::start("policy");
        let domain = guest.domain(&xen);
        let policy = domain.cpu_policy().expect("told");
        assert_eq!(vendor(&policy), cpuinfo("vendor_id"));
        assert_eq!(domain.set_cpu_policy(&policy).expect_err("it has run").errno(), Some(EEXIST));
        let own = xen.domain(DomId::ZERO).set_cpu_policy(&policy).expect_err("our own domain");
        assert_eq!(own.errno(), Some(EINVAL));
    }
}
