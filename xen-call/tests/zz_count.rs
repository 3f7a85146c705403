#![expect(unsafe_code, reason = "x")]
use std::os::fd::OwnedFd;
use xen_call::{Xencall, version};
use xen_sys::linux::fake;
fn memfd() -> OwnedFd {
    let fd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    rustix::fs::ftruncate(&fd, 1 << 22).expect("room");
    fd
}
#[inline(never)]
#[unsafe(no_mangle)]
fn count_version(x: &Xencall) { for _ in 0..1000 { std::hint::black_box(version::version(x).unwrap()); } }
#[inline(never)]
#[unsafe(no_mangle)]
fn count_features(x: &Xencall) { for _ in 0..1000 { std::hint::black_box(version::features(x, 0).unwrap()); } }
#[test]
fn zz() {
    let x = unsafe { Xencall::from_fds(memfd(), Some(memfd())) }.unwrap();
    let _k = fake::install(|_| Ok(0x40011));
    count_version(&x);
    count_features(&x);
}
