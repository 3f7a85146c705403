//! Hypercalls inside an unprivileged guest, on real Xen. Kernels since XSA-482 let none out.

use std::process::Command;
use xen_call::{Error, HypercallBuffer, HypercallNumber, Multicall, Xencall, version};
use xen_sys::xen_public::version::{PageSize, Version};

fn xencall() -> Xencall {
    Xencall::open().expect("the hypercall device")
}

/// Whether this kernel says that it keeps hypercalls in; those from before XSA-482 do not.
fn kernel_blocks_hypercalls() -> bool {
    let output = Command::new("dmesg").output().expect("the kernel's messages");
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).contains("blocking all hypercalls")
}

#[test]
#[ignore = "needs a Xen guest"]
#[expect(unsafe_code, reason = "issues raw hypercalls")]
fn every_way_to_issue_a_hypercall_names_the_block() {
    let xencall = xencall();
    if !kernel_blocks_hypercalls() {
        println!("skipped: this kernel is from before XSA-482, and lets hypercalls out");
        return;
    }
    let number = HypercallNumber::XEN_VERSION;
    let mut calls = Multicall::new(&xencall);
    let ticket = calls.push(Version).expect("pushed");
    let refusals = [
        (version::version(&xencall).map(drop), "XENVER_version"),
        (version::capabilities(&xencall).map(drop), "XENVER"),
        (version::features(&xencall, 0).map(drop), "XENVER_get_features"),
        (xencall.call(&PageSize).map(drop), "XENVER_pagesize"),
        // SAFETY: XENVER_version takes no memory.
        (unsafe { xencall.hypercall(number, [0; 5]) }.map(drop), "__HYPERVISOR_xen_version"),
        // SAFETY: as above.
        (unsafe { xencall.hypercall_wide(number, [0; 5]) }.map(drop), "__HYPERVISOR_xen_version"),
        (calls.issue().map(|mut answers| drop(answers.take(ticket))), "multicall"),
    ];
    for (refusal, name) in refusals {
        let error = refusal.expect_err("the kernel blocks it");
        let Error::LockedDown { operation } = error else { panic!("{error:?}") };
        assert!(operation.contains(name), "{operation} is not {name}");
        let text = error.to_string();
        assert!(text.contains(operation) && text.contains("blocks hypercalls from this domain"), "{text}");
        assert!(text.contains("xen_privcmd.unrestricted=1"), "and what to do: {text}");
        assert_eq!(error.errno(), None, "it was not Xen");
    }
}

#[test]
#[ignore = "needs a Xen guest"]
fn a_kernel_from_before_the_block_lets_questions_out() {
    if kernel_blocks_hypercalls() {
        println!("skipped: this kernel lets no hypercalls out");
        return;
    }
    let xencall = xencall();
    assert_eq!(version::version(&xencall).expect("a version").major, 4);
    assert_eq!(version::page_size(&xencall).expect("a size"), 4096);
    let dom0 = 1 << 11;
    assert_eq!(version::features(&xencall, 0).expect("features") & dom0, 0, "this is a guest");
    assert_ne!(version::guest_handle(&xencall).expect("a UUID"), [0; 16], "and has a name of its own");
}

#[test]
#[ignore = "needs a Xen guest"]
fn argument_memory_is_there() {
    let xencall = xencall();
    assert!(xencall.buffers_never_fault(), "from the device");
    let record = xencall.buffer([0x5a_u8; 256]).expect("memory");
    let mut large: HypercallBuffer<[u64]> = xencall.zeroed_buffer(1 << 17).expect("a mapping of its own");
    assert!(large.iter().all(|&word| word == 0));
    large[(1 << 17) - 1] = 7;
    let copy = xencall.buffer_from(&large[(1 << 17) - 4..]).expect("memory");
    assert_eq!((*record, &copy[..]), ([0x5a; 256], &[0, 0, 0, 7][..]));
    assert_eq!(large.lend().len(), 1 << 20);
}
