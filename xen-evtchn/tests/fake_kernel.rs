//! What a healthy kernel never does, and the exact bytes of every request.
#![expect(unsafe_code, reason = "puts a memfd in the device's place")]

use std::cell::RefCell;
use std::error::Error as _;
use std::io;
use std::rc::Rc;
use xen_evtchn::{DomId, Error, Evtchn, Port, Virq};
use xen_sys::linux::fake::{self, Call, Installed};

const EFBIG: i32 = 27;
const ENOSYS: i32 = 38;

/// A handle on a kernel that answers with `kernel`.
fn handle(kernel: impl FnMut(Call<'_>) -> io::Result<usize> + 'static) -> (Evtchn, Installed) {
    let fd = rustix::fs::memfd_create("evtchn", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    // SAFETY: the fake kernel takes every request.
    let evtchn = unsafe { Evtchn::from_fd(fd) }.expect("a handle");
    (evtchn, fake::install(kernel))
}

type Log = Rc<RefCell<Vec<String>>>;

/// A kernel that notes calls down, gives ports 10, 11, … and otherwise lets `special` answer.
fn recorder(
    log: &Log,
    mut special: impl FnMut(&mut Call<'_>) -> Option<io::Result<usize>> + 'static,
) -> impl FnMut(Call<'_>) -> io::Result<usize> + 'static {
    let log = Rc::clone(log);
    let mut next = 9;
    move |mut call| {
        log.borrow_mut().push(match &call {
            Call::Ioctl { opcode, operand } => format!("ioctl {opcode:#x} {operand:02x?}"),
            Call::Read { buffer } => format!("read {}", buffer.len()),
            Call::Write { bytes } => format!("write {}", bytes.len()),
            other => format!("{other:?}"),
        });
        if let Some(answer) = special(&mut call) {
            return answer;
        }
        match call {
            Call::Ioctl { opcode: 0x44500 | 0x8_4501 | 0x44502, .. } => {
                next += 1;
                Ok(next)
            }
            Call::Write { bytes } => Ok(bytes.len()),
            _ => Ok(0),
        }
    }
}

fn errno<T>(number: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(number))
}

#[test]
fn requests_are_the_kernels_bytes_and_drop_unbinds_once() {
    let log = Log::default();
    let (evtchn, _fake) = handle(recorder(&log, |_| None));
    let domain = DomId::new(0x1234).expect("a domain");
    let first = evtchn.bind_interdomain(domain, Port::new(0x0a0b)).expect("bound");
    let second = evtchn.bind_unbound(domain).expect("bound");
    let third = evtchn.bind_virq(Virq::DOM_EXC).expect("bound");
    let fourth = evtchn.bind_static(Port::new(5)).expect("bound");
    assert_eq!([&first, &second, &third, &fourth].map(|channel| channel.port().get()), [10, 11, 12, 5]);
    first.notify().expect("sent");
    evtchn.restrict(domain).expect("restricted");
    drop(first);
    second.unbind().expect("unbound");
    assert_eq!(third.into_port(), Port::new(12));
    drop((fourth, evtchn));
    let expected = [
        "ioctl 0x84501 [34, 12, 00, 00, 0b, 0a, 00, 00]",
        "ioctl 0x44502 [34, 12, 00, 00]",
        "ioctl 0x44500 [03, 00, 00, 00]",
        "ioctl 0x44507 [05, 00, 00, 00]",
        "ioctl 0x44504 [0a, 00, 00, 00]",
        "ioctl 0x24506 [34, 12]",
        "ioctl 0x44503 [0a, 00, 00, 00]",
        "ioctl 0x44503 [0b, 00, 00, 00]",
        "ioctl 0x44503 [05, 00, 00, 00]",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_batch_is_one_read_and_one_write() {
    let log = Log::default();
    let (evtchn, _fake) = handle(recorder(&log, |call| match call {
        Call::Read { buffer } => {
            let length = buffer.len().min(12);
            buffer[..length].copy_from_slice(&[7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0][..length]);
            Some(Ok(length))
        }
        _ => None,
    }));
    let mut ports = [Port::default(); 16];
    let count = evtchn.pending(&mut ports).expect("ports");
    assert_eq!(ports[..count], [7, 8, 9].map(Port::new));
    evtchn.unmask(&ports[..count]).expect("unmasked");
    assert_eq!(evtchn.pending_one().expect("a port"), Some(Port::new(7)));
    assert_eq!(evtchn.pending(&mut []).expect("nothing"), 0);
    evtchn.unmask(&[]).expect("nothing");
    assert_eq!(*log.borrow(), ["read 64", "write 12", "read 4"]);
}

#[test]
fn an_overflow_loses_no_event() {
    let log = Log::default();
    let mut overflowed = true;
    let (evtchn, _fake) = handle(recorder(&log, move |call| match call {
        Call::Read { .. } if overflowed => Some(errno(EFBIG)),
        Call::Read { .. } => Some(Err(io::ErrorKind::WouldBlock.into())),
        Call::Ioctl { opcode: 0x4505, .. } => {
            overflowed = false;
            None
        }
        _ => None,
    }));
    let channels: Vec<_> = (0..5).map(|_| evtchn.bind_unbound(DomId::SELF).expect("bound")).collect();
    let gone = evtchn.bind_unbound(DomId::SELF).expect("bound");
    gone.unbind().expect("unbound");
    log.borrow_mut().clear();

    let mut ports = [Port::default(); 3];
    assert_eq!(evtchn.pending(&mut ports).expect("ports"), 3);
    let mut all = ports.to_vec();
    assert!(evtchn.wait(None).expect("no need to wait"), "the rest is pending, whatever the device says");
    assert_eq!(evtchn.pending(&mut ports).expect("ports"), 2);
    all.extend(&ports[..2]);
    assert_eq!(all, channels.iter().map(xen_evtchn::EventChannel::port).collect::<Vec<_>>());
    assert_eq!(evtchn.pending(&mut ports).expect("none"), 0);
    assert_eq!(*log.borrow(), ["read 12", "ioctl 0x4505 []", "read 12"]);
}

#[test]
fn a_port_unbound_after_an_overflow_is_not_handed_out() {
    let log = Log::default();
    let (evtchn, _fake) = handle(recorder(&log, |call| match call {
        Call::Read { .. } => Some(Err(io::ErrorKind::WouldBlock.into())),
        _ => None,
    }));
    let first = evtchn.bind_unbound(DomId::SELF).expect("bound");
    let second = evtchn.bind_unbound(DomId::SELF).expect("bound");
    evtchn.reset().expect("reset");
    drop(first);
    let mut ports = [Port::default(); 4];
    assert_eq!(evtchn.pending(&mut ports).expect("ports"), 1);
    assert_eq!(ports[0], second.port());
}

#[test]
fn unmasking_goes_on_after_short_writes_and_signals() {
    let log = Log::default();
    let mut interrupted = false;
    let (evtchn, _fake) = handle(recorder(&log, move |call| match call {
        Call::Write { bytes } if bytes.len() == 4000 * 4 - 4096 && !interrupted => {
            interrupted = true;
            Some(Err(io::ErrorKind::Interrupted.into()))
        }
        Call::Write { bytes } => Some(Ok(bytes.len().min(4096))),
        _ => None,
    }));
    let ports: Vec<_> = (0..4000).map(Port::new).collect();
    evtchn.unmask(&ports).expect("unmasked");
    assert_eq!(*log.borrow(), ["write 16000", "write 11904", "write 11904", "write 7808", "write 3712"]);
}

#[test]
fn a_kernel_that_takes_nothing_is_an_error_not_a_loop() {
    let (evtchn, _fake) = handle(|call| match call {
        Call::Write { .. } => Ok(0),
        _ => errno(ENOSYS),
    });
    let error = evtchn.unmask(&[Port::new(1)]).expect_err("nothing was taken");
    assert!(matches!(error, Error::Device { call: "unmask", .. }), "{error:?}");
}

#[test]
fn an_interrupted_take_is_repeated() {
    let mut first = true;
    let (evtchn, _fake) = handle(move |call| match call {
        Call::Read { buffer } => {
            if std::mem::take(&mut first) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            buffer[..4].copy_from_slice(&[3, 0, 0, 0]);
            Ok(4)
        }
        _ => Ok(0),
    });
    assert_eq!(evtchn.pending_one().expect("a port"), Some(Port::new(3)));
}

#[test]
fn errors_name_the_object_and_the_reason() {
    let (evtchn, _fake) = handle(|call| match call {
        Call::Ioctl { opcode: 0x8_4501, .. } => errno(3),
        Call::Ioctl { opcode: 0x44500, .. } => errno(17),
        Call::Ioctl { opcode: 0x44507, .. } => errno(ENOSYS),
        Call::Ioctl { opcode: 0x44504, .. } => errno(107),
        Call::Ioctl { opcode: 0x24506, .. } => errno(22),
        _ => Ok(0),
    });
    let domain = DomId::new(77).expect("a domain");
    let error = evtchn.bind_interdomain(domain, Port::new(5)).expect_err("no domain");
    assert_eq!(error.to_string(), "cannot bind to port 5 of domain 77: there is no such domain");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("No such process (os error 3)"));
    let error = evtchn.bind_virq(Virq::TIMER).expect_err("taken");
    assert_eq!(
        error.to_string(),
        "cannot bind virtual interrupt 0: something in this domain has bound it already"
    );
    let error = evtchn.bind_static(Port::new(5)).expect_err("old kernel");
    assert_eq!(error.to_string(), "binding a static port needs Linux 6.6");
    let error = evtchn.adopt(Port::new(99)).notify().expect_err("not bound");
    assert_eq!(error.to_string(), "notify failed for port 99: this handle has not bound it");
    let error = evtchn.restrict(DomId::ZERO).expect_err("dom0");
    assert!(error.to_string().starts_with("cannot restrict the handle to domain 0: only"), "{error}");
}

#[test]
fn off_xen_the_error_says_so() {
    if std::path::Path::new("/sys/hypervisor/type").exists() {
        eprintln!("skipped: this machine has a hypervisor interface");
        return;
    }
    let error = Evtchn::open().expect_err("no Xen here");
    assert_eq!(error.to_string(), "cannot open /dev/xen/evtchn: this machine does not run under Xen");
}

#[test]
fn handles_and_channels_go_to_other_threads() {
    fn shared_between_threads<T: Send + Sync + 'static>() {}
    shared_between_threads::<Evtchn>();
    shared_between_threads::<xen_evtchn::EventChannel>();
    shared_between_threads::<Error>();
}
