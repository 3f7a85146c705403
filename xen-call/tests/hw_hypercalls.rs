//! Hypercalls on real Xen.

use std::collections::HashMap;
use std::process::Command;
use std::thread;
use xen_call::{Error, HypercallBuffer, HypercallNumber, Multicall, Xencall, version};
use xen_sys::xen_public::version::{
    FeatureInfo, FillVarBuf, GuestHandle, PageSize, PlatformParameters, Version,
};
use xen_sys::zerocopy::FromZeros;

fn xencall() -> Xencall {
    Xencall::open().expect("the hypercall device")
}

/// What Xen's own tool says.
fn xl_info() -> HashMap<String, String> {
    let output = Command::new("xl").arg("info").output().expect("xl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

#[test]
#[ignore = "needs Xen dom0"]
fn every_question_about_the_version_agrees_with_xl() {
    let xencall = xencall();
    let info = xl_info();
    let version = version::version(&xencall).expect("a version");
    assert_eq!(version.major.to_string(), info["xen_major"]);
    assert_eq!(version.minor.to_string(), info["xen_minor"]);
    assert_eq!(version::extra_version(&xencall).expect("a string").trim(), info["xen_extra"]);
    assert_eq!(version::capabilities(&xencall).expect("a string").trim(), info["xen_caps"]);
    assert_eq!(version::changeset(&xencall).expect("a string").trim(), info["xen_changeset"]);
    assert_eq!(version::command_line(&xencall).expect("a string").trim(), info["xen_commandline"]);
    let compilation = version::compilation(&xencall).expect("strings");
    assert_eq!(compilation.compiler.trim(), info["cc_compiler"]);
    assert_eq!(compilation.by, info["cc_compile_by"]);
    assert_eq!(compilation.date.trim(), info["cc_compile_date"]);
    let build_id = version::build_id(&xencall).expect("an id");
    let digits = info["build_id"].as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("a byte")
    });
    assert_eq!(build_id, digits.collect::<Vec<_>>());
    assert_eq!(version::page_size(&xencall).expect("a size"), 4096);
    let start = version::virtual_start(&xencall).expect("an address");
    assert_eq!(format!("virt_start={start:#x}"), info["platform_params"]);
    let dom0 = 1 << 11;
    assert_ne!(version::features(&xencall, 0).expect("features") & dom0, 0);
    assert_eq!(version::features(&xencall, 99).expect_err("no such 32").errno(), Some(22));
    assert_eq!(version::guest_handle(&xencall).expect("a UUID"), [0; 16]);
}

#[test]
#[ignore = "needs Xen dom0"]
#[expect(unsafe_code, reason = "issues raw hypercalls")]
fn raw_hypercalls_give_xens_results_and_errors() {
    let xencall = xencall();
    assert!(xencall.buffers_never_fault());
    let number = HypercallNumber(63);
    // SAFETY: Xen has no such hypercall.
    let error = unsafe { xencall.hypercall(number, [0; 5]) }.expect_err("unknown");
    assert_eq!(error.errno(), Some(38), "ENOSYS: {error}");
    // SAFETY: XENVER_version takes no memory.
    let version = unsafe { xencall.hypercall(HypercallNumber::XEN_VERSION, [0; 5]) }.expect("a version");
    assert_eq!(version >> 16, 4);
    // SAFETY: XENMEM_maximum_ram_page takes no memory.
    let pages =
        unsafe { xencall.hypercall_wide(HypercallNumber::MEMORY_OP, [2, 0, 0, 0, 0]) }.expect("a page");
    let mebibytes: i64 = xl_info()["total_memory"].parse().expect("a number");
    assert!(pages * 4096 >= mebibytes << 20, "{pages} pages for {mebibytes} MiB");
    let domain = xencall.buffer(0_u64).expect("memory");
    // SAFETY: XENMEM_current_reservation reads a domain's number from the buffer.
    let own = unsafe { xencall.hypercall_wide(HypercallNumber::MEMORY_OP, [3, domain.address(), 0, 0, 0]) };
    assert!(own.expect("pages") > 10_000, "dom0 has tens of megabytes");
    let nobody = xencall.buffer(4321_u64).expect("memory");
    // SAFETY: as above.
    let error = unsafe { xencall.hypercall_wide(HypercallNumber::MEMORY_OP, [3, nobody.address(), 0, 0, 0]) };
    assert_eq!(error.expect_err("no such domain").errno(), Some(3), "ESRCH through a multicall");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_hundred_calls_go_at_once() {
    let xencall = xencall();
    let mut calls = Multicall::new(&xencall);
    let tickets: Vec<_> = (0..100)
        .map(|index| calls.push(FeatureInfo { submap_idx: index, submap: 0 }).expect("pushed"))
        .collect();
    let size = calls.push(PageSize).expect("pushed");
    let id = calls.push(FillVarBuf::BUILD_ID).expect("pushed");
    let mut answers = calls.issue().expect("issued");
    for (index, ticket) in (0..).zip(tickets) {
        let alone = version::features(&xencall, index).map_err(|error| error.errno());
        let together = answers.take(ticket).map(|answer| answer.record.submap).map_err(|error| error.errno());
        assert_eq!(together, alone, "number {index}");
    }
    assert_eq!(answers.take(size).expect("a size").value, 4096);
    let answer = answers.take(id).expect("an id");
    let length = usize::try_from(answer.value).expect("a length");
    assert_eq!(answer.record.buf[..length], version::build_id(&xencall).expect("an id"));
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_own_domain_is_the_one_of_xenstore() {
    let output = Command::new("xenstore-read").arg("domid").output().expect("xenstore");
    let number = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let xencall = xencall();
    let own = xencall.own_domain().expect("told");
    assert_eq!(own.to_string(), number);
    assert_eq!(xencall.other_domain(own).expect("told"), None);
    // the port that the question takes is free again
    for _ in 0..5000 {
        Xencall::open().and_then(|other| other.own_domain()).expect("told");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn threads_call_at_the_same_time() {
    let xencall = xencall();
    let start = version::virtual_start(&xencall).expect("an address");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let record = xencall.call(&PlatformParameters::new_zeroed()).expect("answered").record;
                    assert_eq!(record.virt_start, start);
                    assert_eq!(xencall.call(&GuestHandle([9; 16])).expect("answered").record.0, [0; 16]);
                }
            });
        }
    });
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_is_kept_out_of_children_and_dumps() {
    let xencall = xencall();
    let small = xencall.buffer(1_u64).expect("memory");
    let large: HypercallBuffer<[u8]> = xencall.zeroed_buffer(1 << 20).expect("memory");
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
    let flags: Vec<_> = smaps
        .lines()
        .scan(false, |inside, line| {
            *inside |= line.ends_with("/dev/xen/hypercall");
            let found = *inside && line.starts_with("VmFlags:");
            *inside &= !found;
            Some(found.then_some(line))
        })
        .flatten()
        .collect();
    assert_eq!(flags.len(), 2, "a pool and a mapping of its own");
    assert!(flags.iter().all(|flags| flags.contains(" dc ")), "not copied on fork: {flags:?}");
    drop((small, large));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_wrong_pointer_cannot_be_expressed_and_a_wrong_command_is_an_error() {
    let xencall = xencall();
    let before = xencall.call(&Version).expect("a version").value;
    let error: Error = version::features(&xencall, u32::MAX).expect_err("no such 32");
    assert_eq!(error.to_string(), "XENVER_get_features failed");
    assert_eq!(xencall.call(&Version).expect("a version").value, before);
}

#[test]
#[ignore = "needs Xen dom0"]
#[expect(unsafe_code, reason = "forks")]
fn a_child_has_memory_of_its_own_and_leaves_the_parents_alone() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
    }
    let xencall = xencall();
    let mut live = xencall.buffer([0x5a_u8; 256]).expect("memory");
    let large: HypercallBuffer<[u8]> = xencall.zeroed_buffer(1 << 20).expect("memory");
    // SAFETY: the child does nothing but hypercalls, and ends without returning.
    let child = unsafe { fork() };
    if child == 0 {
        let good = (0..100).all(|_| {
            let answer = version::version(&xencall);
            let buffer = xencall.buffer_from(&[0xa5_u8; 256]);
            let features = version::features(&xencall, 0);
            answer.is_ok() && features.is_ok() && buffer.is_ok_and(|buffer| *buffer == [0xa5; 256])
        });
        drop((live, large));
        let still_good = version::features(&xencall, 0).is_ok();
        // SAFETY: ends the child at once.
        unsafe { _exit(i32::from(!(good && still_good))) }
    }
    for _ in 0..100 {
        version::features(&xencall, 0).expect("features");
    }
    let mut status = -1;
    // SAFETY: waits for the child, and writes its status to a variable of ours.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "hypercalls and buffers work in the child");
    assert_eq!(*live, [0x5a; 256], "the parent's are untouched");
    live[0] = 1;
    assert!(large.iter().all(|&byte| byte == 0));
}
