//! Both sides of a ring in memory that two mappings share, as a guest and its backend do. Runs anywhere.
#![expect(unsafe_code, reason = "a memfd stands for granted pages")]

use std::collections::VecDeque;

use examples::blkif::layout::{RequestRecord, operation};
use examples::blkif::{Abi, BackRing, FrontRing, Response, RingError, Status};
use proptest::prelude::*;
use xen_gnttab::{PAGE_SIZE, SharedMemory};
use xen_sys::Device;
use xen_sys::linux::gntdev::Gntdev;

/// Two mappings of the same new pages.
fn shared(pages: usize) -> [Box<SharedMemory>; 2] {
    let file = rustix::fs::memfd_create("ring", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, (pages * PAGE_SIZE) as u64).unwrap();
    // SAFETY: only mapped, never asked anything that a memfd would take for something else.
    let device = unsafe { Device::<Gntdev>::from_fd(file) }.unwrap();
    [(); 2].map(|()| Box::new(SharedMemory::map(&device, 0, pages).unwrap()))
}

fn rings(pages: usize) -> (FrontRing<Box<SharedMemory>>, BackRing<Box<SharedMemory>>) {
    let [ours, theirs] = shared(pages);
    let front = FrontRing::new(ours).unwrap();
    (front, BackRing::new(theirs, Abi::Native).unwrap())
}

fn answer(id: u64) -> Response {
    Response { id, operation: operation::READ, status: Status::OKAY }
}

#[test]
fn a_backend_that_is_awake_gets_no_events() {
    let (mut front, mut back) = rings(1);
    let push =
        |front: &mut FrontRing<_>, id| front.push(&RequestRecord { id, ..RequestRecord::default() }).unwrap();
    push(&mut front, 1);
    assert!(front.publish().unwrap(), "the first request wakes the backend");
    push(&mut front, 2);
    assert!(!front.publish().unwrap(), "it is awake");
    assert_eq!(back.waiting().unwrap(), 2);
    back.advance();
    back.advance();
    push(&mut front, 3);
    assert!(!front.publish().unwrap(), "it has not said that it sleeps");
    assert!(!back.arm().unwrap(), "a request that came before keeps it awake");
    back.advance();
    assert!(back.arm().unwrap(), "the ring is empty");
    assert!(
        back.respond([answer(1), answer(2)].into_iter()).unwrap(),
        "the first response wakes the frontend"
    );
}

#[test]
fn impossible_indices_are_refused() {
    for claimed in [33, 1 << 31, u32::MAX] {
        let (front, back) = rings(1);
        front.claim(claimed).unwrap();
        assert!(matches!(back.waiting(), Err(RingError::Overrun { possible: 32, .. })), "{claimed}");
    }
    let (mut front, mut back) = rings(1);
    front.push(&RequestRecord::default()).unwrap();
    front.publish().unwrap();
    assert_eq!(back.waiting().unwrap(), 1);
    back.advance();
    front.claim(0).unwrap();
    assert!(back.waiting().is_err(), "an index may not go back");
}

#[test]
fn an_answer_too_many_is_refused() {
    let (mut front, mut back) = rings(1);
    back.respond([answer(1)].into_iter()).unwrap();
    assert!(matches!(front.take(), Err(RingError::Overrun { .. })));
}

/// A step of one of the sides.
#[derive(Clone, Debug)]
enum Step {
    /// The frontend sends this many requests at once.
    Send(u32),
    /// The backend takes and answers at most this many, if it is awake.
    Serve(u32),
    /// The frontend takes its responses, if it is awake.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(1_u32..40).prop_map(Step::Send), (1_u32..40).prop_map(Step::Serve), Just(Step::Take)]
}

proptest! {
    /// Sides that sleep when there is nothing to do, and wake up by events only, leave nothing undone.
    #[test]
    fn no_event_is_lost(steps in prop::collection::vec(step(), 1..200), order in 0_usize..3) {
        let (mut front, mut back) = rings(1 << order);
        let (mut back_awake, mut front_awake) = (false, false);
        let mut outstanding = VecDeque::new();
        let mut next_id = 0;
        // In the end both sides get the chance to finish what they know of.
        let finish = [Step::Serve(u32::MAX), Step::Take, Step::Serve(u32::MAX), Step::Take];
        for step in steps.into_iter().chain(finish) {
            match step {
                Step::Send(count) => {
                    for _ in 0..count.min(front.free()) {
                        front.push(&RequestRecord { id: next_id, ..RequestRecord::default() }).unwrap();
                        outstanding.push_back(next_id);
                        next_id += 1;
                    }
                    let event = front.publish().unwrap();
                    prop_assert!(!(event && back_awake), "an event for a backend that is awake");
                    back_awake |= event;
                }
                Step::Serve(count) if back_awake => {
                    let mut answers = Vec::new();
                    for _ in 0..back.waiting().unwrap().min(count) {
                        answers.push(answer(back.peek().unwrap().id));
                        back.advance();
                    }
                    let event = back.respond(answers.into_iter()).unwrap();
                    prop_assert!(!(event && front_awake), "an event for a frontend that is awake");
                    front_awake |= event;
                    back_awake = back.waiting().unwrap() > 0 || !back.arm().unwrap();
                }
                Step::Take if front_awake => {
                    while let Some(response) = front.take().unwrap() {
                        prop_assert_eq!(Some(response.id), outstanding.pop_front());
                    }
                    front_awake = !front.arm().unwrap();
                }
                Step::Serve(_) | Step::Take => {}
            }
        }
        prop_assert_eq!(outstanding.len(), 0, "a side sleeps although there is work");
    }

    /// Whatever is in the pages: at most a ring full of requests comes out, and nothing panics.
    #[test]
    fn any_bytes_are_a_ring(indices: [u32; 4], seed: u64, narrow: bool) {
        let [ours, theirs] = shared(1);
        let bytes: Vec<u8> = (0..512).flat_map(|word: u64| (seed.wrapping_mul(word | 1) >> 3).to_le_bytes()).collect();
        ours.copy_from_slice(0, &bytes).unwrap();
        ours.write(0, &indices).unwrap();
        let mut back = BackRing::new(theirs, if narrow { Abi::X86_32 } else { Abi::Native }).unwrap();
        let mut answers = Vec::new();
        if let Ok(waiting) = back.waiting() {
            prop_assert!(waiting <= back.size());
            for _ in 0..waiting {
                answers.push(answer(back.peek().unwrap().id));
                back.advance();
            }
        }
        back.respond(answers.into_iter()).unwrap();
    }
}
