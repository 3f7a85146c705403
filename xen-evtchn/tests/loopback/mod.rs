//! Channels from a domain to itself, on real Xen: in dom0 as well as in a guest.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use xen_evtchn::{DomId, Error, EventChannel, Evtchn, Port, Virq};

/// For what is certain to come: a slow machine fails no test.
pub(crate) const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));
const SHORT: Option<Duration> = Some(Duration::from_millis(50));

pub(crate) fn open() -> Evtchn {
    Evtchn::open().expect("the event channel device")
}

/// Two ends of a channel of this domain, with the event that binding causes taken.
pub(crate) fn pair(evtchn: &Evtchn) -> (EventChannel, EventChannel) {
    let near = evtchn.bind_unbound(DomId::SELF).expect("an unbound port");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
    drain(evtchn);
    (near, far)
}

/// Takes and unmasks everything; the ports that were pending.
pub(crate) fn drain(evtchn: &Evtchn) -> BTreeSet<Port> {
    let mut seen = BTreeSet::new();
    let mut ports = [Port::default(); 1024];
    loop {
        let count = evtchn.pending(&mut ports).expect("pending ports");
        if count == 0 {
            return seen;
        }
        seen.extend(&ports[..count]);
        evtchn.unmask(&ports[..count]).expect("unmasked");
    }
}

pub(crate) fn errno(error: &Error) -> Option<i32> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<std::io::Error>()?.raw_os_error()
}

#[test]
#[ignore = "needs Xen"]
fn an_event_goes_from_one_end_to_the_other_and_back() {
    let evtchn = open();
    let near = evtchn.bind_unbound(DomId::SELF).expect("an unbound port");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
    assert!(evtchn.wait(PATIENCE).expect("wait"), "binding raises an event");
    assert_eq!(drain(&evtchn), BTreeSet::from([far.port()]), "on the port that was bound");
    assert!(!evtchn.wait(SHORT).expect("wait"));

    near.notify().expect("sent");
    assert!(evtchn.wait(PATIENCE).expect("wait"));
    assert_eq!(evtchn.pending_one().expect("a port"), Some(far.port()));
    assert_eq!(evtchn.pending_one().expect("none"), None);
    far.unmask().expect("unmasked");

    far.notify().expect("sent");
    assert!(evtchn.wait(PATIENCE).expect("wait"));
    assert_eq!(drain(&evtchn), BTreeSet::from([near.port()]));
}

#[test]
#[ignore = "needs Xen"]
fn a_masked_port_keeps_one_event() {
    let evtchn = open();
    let (near, far) = pair(&evtchn);
    near.notify().expect("sent");
    assert!(evtchn.wait(PATIENCE).expect("wait"));
    assert_eq!(evtchn.pending_one().expect("a port"), Some(far.port()));
    for _ in 0..3 {
        near.notify().expect("sent");
    }
    assert!(!evtchn.wait(SHORT).expect("wait"), "masked");
    far.unmask().expect("unmasked");
    assert!(evtchn.wait(PATIENCE).expect("wait"), "three events while masked are one afterwards");
    assert_eq!(evtchn.pending_one().expect("a port"), Some(far.port()));
    far.unmask().expect("unmasked");
    assert!(!evtchn.wait(SHORT).expect("wait"));
}

#[test]
#[ignore = "needs Xen"]
fn hundreds_of_ports_are_taken_and_unmasked_at_once() {
    let evtchn = open();
    let pairs: Vec<_> = (0..300).map(|_| pair(&evtchn)).collect();
    let far: BTreeSet<_> = pairs.iter().map(|(_, far)| far.port()).collect();
    for _ in 0..2 {
        for (near, _) in &pairs {
            near.notify().expect("sent");
        }
        let mut ports = [Port::default(); 1024];
        let mut seen = BTreeSet::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.len() < far.len() && Instant::now() < deadline {
            assert!(evtchn.wait(PATIENCE).expect("wait"));
            let count = evtchn.pending(&mut ports).expect("ports");
            seen.extend(&ports[..count]);
        }
        assert_eq!(seen, far);
        assert_eq!(evtchn.pending(&mut ports).expect("none"), 0, "all are masked now");
        evtchn.unmask(&seen.into_iter().collect::<Vec<_>>()).expect("unmasked");
    }
}

#[test]
#[ignore = "needs Xen"]
fn virtual_interrupts_bind_once() {
    let evtchn = open();
    let channel = evtchn.bind_virq(Virq::DEBUGGER).expect("nobody else wants it");
    let error = evtchn.bind_virq(Virq::DEBUGGER).expect_err("bound already");
    assert_eq!(errno(&error), Some(17), "EEXIST: {error}");
    if cfg!(target_arch = "x86_64") {
        // On Arm, the kernel has a timer of its own.
        let error = evtchn.bind_virq(Virq::TIMER).expect_err("the kernel has it");
        assert_eq!(errno(&error), Some(17), "EEXIST: {error}");
    }
    let error = evtchn.bind_virq(Virq::new(99)).expect_err("there are 24");
    assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
    drop(channel);
    drop(evtchn.bind_virq(Virq::DEBUGGER).expect("free again"));
}

#[test]
#[ignore = "needs Xen"]
fn wrong_targets_are_told_apart() {
    let evtchn = open();
    let error = evtchn.bind_interdomain(DomId::SELF, Port::new(3999)).expect_err("no such port");
    assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
    let nobody = DomId::new(4321).expect("a number");
    let error = evtchn.bind_interdomain(nobody, Port::new(1)).expect_err("no such domain");
    assert_eq!(errno(&error), Some(3), "ESRCH: {error}");
    let error = evtchn.adopt(Port::new(3999)).notify().expect_err("not bound");
    assert_eq!(errno(&error), Some(107), "ENOTCONN: {error}");
    match evtchn.bind_unbound(nobody) {
        Ok(other) => {
            let error = evtchn.bind_interdomain(DomId::SELF, other.port()).expect_err("for another domain");
            assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
        }
        // Where the security policy asks who that is.
        Err(error) => assert_eq!(errno(&error), Some(3), "ESRCH: {error}"),
    }
}

#[test]
#[ignore = "needs Xen"]
fn static_ports_need_a_new_kernel() {
    let evtchn = open();
    let port = Port::new(3999);
    match evtchn.bind_static(port) {
        Err(Error::Unsupported { needs: "Linux 6.6", .. }) => {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
            let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
            let version = (numbers.next(), numbers.next());
            assert!(version < (Some(6), Some(6)), "{release}");
        }
        // The kernel takes the port's number on trust; notifying it is harmless, as nobody is at the far end.
        Ok(channel) => assert_eq!(channel.port(), port),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "needs Xen"]
fn a_real_overflow_is_recovered_from() {
    let evtchn = open();
    let pairs: Vec<_> = (0..3).map(|_| pair(&evtchn)).collect();
    let (near, far) = &pairs[0];
    // Unmasking what was not taken fills the kernel's ring of 64.
    let deadline = Instant::now() + Duration::from_secs(60);
    for _ in 0..200 {
        near.notify().expect("sent");
        far.unmask().expect("unmasked");
        assert!(Instant::now() < deadline, "no overflow");
    }
    pairs[2].0.notify().expect("sent, and dropped by the kernel");
    assert!(evtchn.wait(PATIENCE).expect("an overflow counts as readable"));
    let mut byte = [0; 4];
    let raw = File::from(evtchn.as_fd().try_clone_to_owned().expect("a second descriptor"));
    let error = std::io::Read::read(&mut &raw, &mut byte).expect_err("overflowed");
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge, "the kernel's ring has overflowed for real");

    let bound: BTreeSet<_> = pairs.iter().flat_map(|(near, far)| [near.port(), far.port()]).collect();
    let seen = drain(&evtchn);
    assert_eq!(seen, bound, "every port is handed out, the one whose event was dropped too");
    for (near, far) in &pairs {
        near.notify().expect("sent");
        assert!(evtchn.wait(PATIENCE).expect("wait"), "ports deliver again");
        assert_eq!(drain(&evtchn), BTreeSet::from([far.port()]));
    }
}

#[test]
#[ignore = "needs Xen"]
fn a_restricted_handle_only_binds_to_its_domain() {
    let evtchn = open();
    let (near, far) = pair(&evtchn);
    let domain = DomId::new(4321).expect("a number");
    evtchn.restrict(domain).expect("restricted");
    let error = evtchn.restrict(domain).expect_err("once only");
    assert_eq!(errno(&error), Some(13), "EACCES: {error}");
    let error = evtchn.bind_virq(Virq::DEBUGGER).expect_err("restricted");
    assert_eq!(errno(&error), Some(13), "EACCES: {error}");
    let error = evtchn.bind_unbound(domain).expect_err("restricted");
    assert_eq!(errno(&error), Some(13), "EACCES: {error}");
    let error = evtchn.bind_interdomain(DomId::SELF, near.port()).expect_err("restricted");
    assert_eq!(errno(&error), Some(13), "EACCES: {error}");
    let error = evtchn.bind_interdomain(domain, Port::new(1)).expect_err("allowed, but nobody is there");
    assert_eq!(errno(&error), Some(3), "ESRCH: {error}");
    near.notify().expect("what was bound goes on");
    assert!(evtchn.wait(PATIENCE).expect("wait"));
    assert_eq!(drain(&evtchn), BTreeSet::from([far.port()]));
    let error = open().restrict(DomId::ZERO).expect_err("dom0");
    assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
}

#[test]
#[ignore = "needs Xen"]
fn an_event_of_an_unbound_port_is_only_a_hint() {
    let evtchn = open();
    let (near, far) = pair(&evtchn);
    near.notify().expect("sent");
    assert!(evtchn.wait(PATIENCE).expect("wait"));
    let stale = far.port();
    drop(far);
    assert_eq!(drain(&evtchn), BTreeSet::from([stale]), "queued before the unbinding");
    near.notify().expect("nobody is there, and nobody says so");
    assert!(!evtchn.wait(SHORT).expect("wait"));
}

#[test]
#[ignore = "needs Xen"]
fn threads_share_a_handle() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 100;
    let evtchn = open();
    let pairs: Vec<_> = (0..THREADS).map(|_| pair(&evtchn)).collect();
    let senders = open();
    let done = AtomicBool::new(false);
    let received = thread::scope(|scope| {
        // The far ends answer; whichever thread takes an event answers it.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut ports = [Port::default(); 8];
                while evtchn.wait(SHORT).expect("wait") || !done.load(Ordering::Acquire) {
                    let count = evtchn.pending(&mut ports).expect("ports");
                    evtchn.unmask(&ports[..count]).expect("unmasked");
                    for (_, far) in pairs.iter().filter(|(_, far)| ports[..count].contains(&far.port())) {
                        far.notify().expect("answered");
                    }
                }
            });
        }
        let rounds = (0..THREADS).map(|_| {
            let senders = &senders;
            let evtchn = &evtchn;
            scope.spawn(move || {
                // Binding and dropping on the same handle from many threads at once.
                (0..ROUNDS)
                    .filter(|_| {
                        let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
                        let far = senders.bind_interdomain(DomId::SELF, near.port()).expect("bound");
                        far.notify().is_ok() && near.port() != far.port()
                    })
                    .count()
            })
        });
        let rounds = rounds.collect::<Vec<_>>().into_iter();
        let received: Vec<_> = rounds.map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Release);
        received.into_iter().map(|received| received.expect("a thread")).sum::<usize>()
    });
    assert_eq!(received, (THREADS * ROUNDS) as usize);
    for (near, far) in &pairs {
        near.notify().expect("sent");
        assert!(evtchn.wait(PATIENCE).expect("wait"));
        assert!(drain(&evtchn).contains(&far.port()), "still in order after the turmoil");
    }
}

#[test]
#[ignore = "needs Xen"]
fn waiting_ends_in_time() {
    let evtchn = open();
    let start = Instant::now();
    assert!(!evtchn.wait(Some(Duration::ZERO)).expect("wait"));
    assert!(!evtchn.wait(Some(Duration::from_millis(200))).expect("wait"));
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
#[ignore = "needs Xen"]
fn taking_can_wait_for_an_event() {
    let evtchn = open();
    let (near, far) = pair(&evtchn);
    evtchn.set_nonblocking(false).expect("set");
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        near.notify().expect("sent");
        near
    });
    let start = Instant::now();
    assert_eq!(evtchn.pending_one().expect("a port"), Some(far.port()));
    assert!(start.elapsed() >= Duration::from_millis(100));
    drop(late.join().expect("sent"));
    evtchn.set_nonblocking(true).expect("set");
    assert_eq!(evtchn.pending_one().expect("none"), None);
}
