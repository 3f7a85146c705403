//! Channels of dom0 to itself, on real Xen, and what the hypervisor says of them.

mod loopback;

use loopback::{PATIENCE, drain, open, pair};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use xen_call::{HypercallNumber, Xencall};
use xen_evtchn::{DomId, Evtchn, Port, Virq};

/// The state of a port, as the hypervisor has it (`EVTCHNSTAT_*`).
#[derive(Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Waits for somebody to bind to it.
    Unbound,
    /// Bound to this port of this domain.
    Bound(Port),
    VirtualInterrupt(Virq),
    Other(u32),
}

/// What Xen says of a port of this domain (`EVTCHNOP_status`).
#[expect(unsafe_code, reason = "issues a raw hypercall")]
fn state(port: Port) -> State {
    const STATUS: u64 = 5;
    let xencall = Xencall::open().expect("the hypercall device");
    // domain, port; answer: state, vCPU, and two words that depend on the state.
    let record = xencall.buffer([DomId::SELF.get().into(), port.get(), 0, 0, 0, 0]).expect("memory");
    let arguments = [STATUS, record.address(), 0, 0, 0];
    // SAFETY: Xen reads and writes this record, of 24 bytes, and nothing else.
    let answer = unsafe { xencall.hypercall(HypercallNumber::EVENT_CHANNEL_OP, arguments) };
    answer.expect("a state");
    let [_, _, state, _, first, second]: [u32; 6] = *record;
    match state {
        0 => State::Closed,
        1 => State::Unbound,
        2 => State::Bound(Port::new(second)),
        4 => State::VirtualInterrupt(Virq::new(first)),
        other => State::Other(other),
    }
}

/// What Xen's own tool says of a port of this domain: its line, if the port is in use.
fn lsevtchn(port: Port) -> Option<String> {
    let output = Command::new("lsevtchn").arg("0").output().expect("lsevtchn");
    assert!(output.status.success(), "lsevtchn: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(str::trim_start);
    lines.find(|line| line.split(':').next().map(str::trim) == Some(&port.to_string())).map(str::to_owned)
}

#[test]
#[ignore = "needs Xen dom0"]
fn xen_sees_what_we_bind_and_unbind() {
    let evtchn = open();
    let near = evtchn.bind_unbound(DomId::SELF).expect("an unbound port");
    assert_eq!(state(near.port()), State::Unbound);
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
    let ports = (near.port(), far.port());
    assert_eq!((state(ports.0), state(ports.1)), (State::Bound(ports.1), State::Bound(ports.0)));
    far.unbind().expect("unbound");
    assert_eq!(state(ports.1), State::Closed, "unbinding closes the port");
    drop(near);
    assert_eq!(state(ports.0), State::Closed, "dropping closes the port");
    let channel = evtchn.bind_virq(Virq::DEBUGGER).expect("nobody else wants it");
    assert_eq!(state(channel.port()), State::VirtualInterrupt(Virq::DEBUGGER));
}

#[test]
#[ignore = "needs Xen dom0"]
fn xens_own_tool_sees_what_we_bind_and_unbind() {
    let missing = Command::new("lsevtchn").arg("0").output().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    if missing {
        println!("skipped: there is no lsevtchn among Xen's tools here");
        return;
    }
    let evtchn = open();
    let near = evtchn.bind_unbound(DomId::SELF).expect("an unbound port");
    let line = lsevtchn(near.port()).expect("in use");
    assert!(line.contains("Waiting connection"), "{line}");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
    let line = lsevtchn(far.port()).expect("in use");
    assert!(line.contains("Interdomain") && line.contains(&near.port().to_string()), "{line}");
    let ports = (near.port(), far.port());
    far.unbind().expect("unbound");
    assert_eq!(lsevtchn(ports.1), None, "unbinding closes the port");
    drop(near);
    assert_eq!(lsevtchn(ports.0), None, "dropping closes the port");
    let channel = evtchn.bind_virq(Virq::DEBUGGER).expect("nobody else wants it");
    let line = lsevtchn(channel.port()).expect("in use");
    assert!(line.contains("Virtual IRQ 6") || line.to_lowercase().contains("virq"), "{line}");
}

#[test]
#[ignore = "needs Xen dom0"]
#[expect(unsafe_code, reason = "adopts a descriptor")]
fn a_file_and_its_port_move_to_another_handle() {
    let evtchn = open();
    let (near, far) = pair(&evtchn);
    let fd: OwnedFd = evtchn.as_fd().try_clone_to_owned().expect("a second descriptor");
    let ports = (near.into_port(), far.into_port());
    drop(evtchn);
    // SAFETY: a duplicate of the device's descriptor.
    let moved = unsafe { Evtchn::from_fd(fd) }.expect("a handle");
    let (near, far) = (moved.adopt(ports.0), moved.adopt(ports.1));
    near.notify().expect("still bound");
    assert!(moved.wait(PATIENCE).expect("wait"));
    assert_eq!(drain(&moved), BTreeSet::from([far.port()]));
    drop((near, far));
    assert_eq!((state(ports.0), state(ports.1)), (State::Closed, State::Closed));
}
