//! Maps of frames: what a healthy kernel never does, the exact bytes of every request, and the order of calls on every path.

#[path = "common/fake_guest.rs"]
mod fake_guest;

use fake_guest::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use xen_foreignmem::{AccessError, DomId, Error, Gfn};
use xen_sys::linux::own_domain;

fn gfns(numbers: &[u64]) -> Vec<Gfn> {
    numbers.iter().copied().map(Gfn::new).collect()
}

#[test]
fn a_map_is_one_mmap_and_one_request_and_its_end_is_one_munmap() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let mapping = memory.map(guest(), &gfns(&[7, 0x21])).expect("mapped");
    drop(memory);
    assert_eq!(mapping.read::<u64>(4096).expect("inside"), 0x21);
    mapping.write(4096, &5_u64).expect("inside");
    assert_eq!((mapping.pages(), mapping.load_u32(4096).expect("inside")), (2, 5));
    drop(mapping);
    assert_eq!(*log.borrow(), ["mmap 0x0+0x2000 rw", "batch 3: 7 21 at 0", "munmap 0x2000"]);
}

#[test]
fn the_request_holds_exactly_the_addresses_of_what_it_is_about() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let frames = gfns(&[1, 2, 3]);
    let list = frames.as_ptr().addr();
    let seen = Rc::new(Cell::new(0));
    let place = Rc::clone(&seen);
    let _fake = driver(&log, move |opcode, operand| {
        assert_eq!((opcode, operand.len()), (BATCH, 32));
        assert_eq!(operand[..8], [3, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(operand[16..24], (list as u64).to_le_bytes());
        assert_ne!(operand[24..32], [0; 8]);
        place.set(Batch::of(operand).address);
        Ok(0)
    });
    let mapping = memory.map_read_only(guest(), &frames).expect("mapped");
    assert_eq!(mapping.page_ptr(0).map(<*mut u8>::addr), Some(seen.get()));
    assert_eq!(log.borrow()[0], "mmap 0x0+0x3000 ro");
}

#[test]
fn the_frame_that_fails_is_named_although_the_request_succeeded() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |frame| if frame == 9 { -EINVAL } else { 0 });
    let error = memory.map(guest(), &gfns(&[8, 9, 10])).expect_err("one is bad");
    assert_eq!(error.to_string(), "frame 0x9 of domain 3 (number 1 in the list) cannot be mapped");
    let Error::Frame { index: 1, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.raw_os_error(), Some(EINVAL));
    assert_eq!(*log.borrow(), ["mmap 0x0+0x3000 rw", "batch 3: 8 9 a at 0", "munmap 0x3000"]);
}

#[test]
fn a_frame_whose_number_the_kernel_cuts_is_never_accessed() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    // as the kernel does: the upper bits go, and what is left is there
    let _fake = driver(&log, |_, operand| {
        let batch = Batch::of(operand);
        (0..batch.count).for_each(|index| batch.set_error(index, 0));
        Ok(0)
    });
    for bit in [40, 52, 63] {
        let cut = 8 | 1 << bit;
        let error = memory.map(guest(), &gfns(&[8, cut])).expect_err("there is no such frame");
        assert!(matches!(&error, Error::Frame { index: 1, gfn, .. } if gfn.get() == cut), "{error:?}");
        let partial = memory.map_partial(guest(), &gfns(&[cut, 8])).expect("one of them is there");
        let statuses: Vec<_> = partial.statuses().iter().map(|status| status.errno()).collect();
        assert_eq!(statuses, [Some(EINVAL), None]);
    }
}

#[test]
fn a_refused_request_leaves_nothing_mapped() {
    for (number, partial) in [(ENOMEM, false), (ENOMEM, true), (EPERM, false), (EPERM, true)] {
        let log = Log::default();
        let (memory, _ram) = foreign_memory();
        let _fake = driver(&log, move |_, _| errno(number));
        let error = if partial {
            memory.map_partial(guest(), &gfns(&[1])).expect_err("refused")
        } else {
            memory.map(guest(), &gfns(&[1])).expect_err("refused")
        };
        match error {
            Error::Map { count: 1, source, .. } => assert_eq!(source.raw_os_error(), Some(ENOMEM)),
            Error::Restricted { .. } => assert!(number == EPERM && own_domain::is_initial()),
            Error::LockedDown { .. } => {
                assert!(number == EPERM && !own_domain::is_initial());
                assert!(error.to_string().contains("xen_privcmd.unrestricted=1"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(*log.borrow(), ["mmap 0x0+0x1000 rw", "batch 3: 1 at 0", "munmap 0x1000"]);
    }
}

#[test]
fn nothing_and_nonsense_make_no_call() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, _| Ok(0));
    assert!(matches!(memory.map(guest(), &[]), Err(Error::Count { count: 0, .. })));
    assert!(matches!(memory.map_partial(guest(), &[]), Err(Error::Count { count: 0, .. })));
    assert!(matches!(memory.map_range(guest(), Gfn::new(1), 0), Err(Error::Count { count: 0, .. })));
    let beyond = memory.map_range(guest(), Gfn::new(u64::MAX), 2);
    assert!(matches!(beyond, Err(Error::Count { count: 2, .. })), "{beyond:?}");
    let many = memory.map_ranges(guest(), &[(Gfn::new(0), usize::MAX), (Gfn::new(0), 7)]);
    assert!(matches!(many, Err(Error::Count { .. })), "{many:?}");
    assert!(log.borrow().is_empty(), "{:?}", log.borrow());
}

#[test]
fn runs_are_mapped_side_by_side() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let runs = [(Gfn::new(5), 2), (Gfn::new(9), 0), (Gfn::new(1), 3)];
    let mapping = memory.map_ranges(guest(), &runs).expect("mapped");
    let numbers: Vec<u64> = (0..5).map(|page| mapping.read(page * 4096).expect("inside")).collect();
    assert_eq!(numbers, [5, 6, 1, 2, 3]);
    let large = memory.map_range(guest(), Gfn::new(0), 600).expect("mapped");
    assert_eq!(large.read::<u64>(255 * 4096).expect("inside"), 255);
}

#[test]
fn frames_that_are_paged_out_are_asked_for_again_run_by_run() {
    // Linux reports them in the request's own result or not, as it happens.
    for result in [Ok(0), Err(ENOENT)] {
        let log = Log::default();
        let (memory, ram) = foreign_memory();
        let mut round = 0;
        let _fake = driver(&log, move |_, operand| {
            round += 1;
            let batch = Batch::of(operand);
            batch.serve(&ram, true, |frame| match frame {
                2 | 3 if round == 1 => -ENOENT,
                5 if round < 5 => -ENOENT,
                _ => 0,
            });
            result.or_else(errno)
        });
        let mapping = memory.map(guest(), &gfns(&[1, 2, 3, 4, 5, 6])).expect("mapped");
        assert_eq!(mapping.read::<u64>(4 * 4096).expect("inside"), 5);
        let expected = [
            "mmap 0x0+0x6000 rw",
            "batch 3: 1 2 3 4 5 6 at 0",
            "batch 3: 2 3 at 1",
            "batch 3: 5 at 4",
            "batch 3: 5 at 4",
            "batch 3: 5 at 4",
        ];
        assert_eq!(*log.borrow(), expected);
    }
}

#[test]
fn frames_that_stay_paged_out_fail_when_the_time_is_up() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |frame| if frame == 2 { -ENOENT } else { 0 });
    let options = memory.options(guest()).paged_out_deadline(Duration::from_millis(30));
    let began = Instant::now();
    let error = options.map(&gfns(&[1, 2])).expect_err("paged out");
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert!(
        matches!(error, Error::Frame { index: 1, ref source, .. } if source.raw_os_error() == Some(ENOENT))
    );
    assert!(log.borrow().len() > 4, "several tries: {:?}", log.borrow());

    log.borrow_mut().clear();
    let mapping = options.paged_out_deadline(Duration::ZERO).map_partial(&gfns(&[1, 2])).expect("in part");
    assert_eq!(log.borrow().len(), 2, "no time, no retries: {:?}", log.borrow());
    assert!(mapping.statuses()[1].is_paged_out());
}

#[test]
fn a_retry_that_the_kernel_refuses_is_not_taken_for_success() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let mut round = 0;
    let _fake = driver(&log, move |_, operand| {
        round += 1;
        let batch = Batch::of(operand);
        if round == 1 {
            batch.serve(&ram, true, |frame| if frame == 2 { -ENOENT } else { 0 });
            return Ok(0);
        }
        // As Linux does: the results are cleared first.
        batch.set_error(0, 0);
        errno(EINVAL)
    });
    let mapping = memory.map_partial(guest(), &gfns(&[1, 2])).expect("in part");
    assert_eq!(
        mapping.statuses().iter().map(|status| status.errno()).collect::<Vec<_>>(),
        [None, Some(ENOENT)]
    );
    assert_eq!(log.borrow().len(), 3, "{:?}", log.borrow());
}

#[test]
fn a_huge_map_in_pieces_is_one_range_of_addresses() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let mut first = true;
    let _fake = healthy_driver(
        &log,
        ram,
        move |frame| {
            if frame == 3 && std::mem::take(&mut first) { -ENOENT } else { 0 }
        },
    );
    let mapping = memory.options(guest()).split(2).map(&gfns(&[1, 2, 3, 4, 5])).expect("mapped");
    let numbers: Vec<u64> = (0..5).map(|page| mapping.read(page * 4096).expect("inside")).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    drop(mapping);
    let expected = [
        "mmap 0x0+0x2000 rw",
        "mmap 0x0+0x2000 rw",
        "mmap 0x0+0x1000 rw",
        "batch 3: 1 2 at 0",
        "batch 3: 3 4 at 2",
        "batch 3: 5 at 4",
        "batch 3: 3 at 2",
        "munmap 0x5000",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_piece_that_fails_takes_all_with_it() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let mut requests = 0;
    let _fake = driver(&log, move |_, _| {
        requests += 1;
        if requests == 2 { errno(ENOMEM) } else { Ok(0) }
    });
    let error = memory.options(guest()).split(1).map(&gfns(&[1, 2, 3])).expect_err("refused");
    assert!(matches!(error, Error::Map { count: 3, .. }), "{error:?}");
    assert_eq!(log.borrow().last().map(String::as_str), Some("munmap 0x3000"));
    assert_eq!(log.borrow().len(), 6);
}

#[test]
fn frames_that_failed_are_seen_and_never_touched() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |frame| if frame == 9 || frame == 12 { -ESRCH } else { 0 });
    let mapping = memory.map_partial(guest(), &gfns(&[8, 9, 10, 11, 12])).expect("in part");
    let good: Vec<bool> = (0..6).map(|index| mapping.is_mapped(index)).collect();
    assert_eq!(good, [true, false, true, true, false, false]);
    assert_eq!(mapping.statuses()[1].errno(), Some(ESRCH));
    assert_eq!(mapping.frames()[3], Gfn::new(11));
    assert_eq!(mapping.len(), 5 * 4096);
    assert_eq!(mapping.page_ptr(1), None);
    assert!(mapping.page_ptr(2).is_some());

    // Across the border of two good frames.
    mapping.write(3 * 4096 - 4, &0x1122_3344_5566_7788_u64).expect("inside");
    assert_eq!(mapping.read::<u32>(3 * 4096).expect("inside"), 0x1122_3344);
    let mut both = vec![0; 8192];
    mapping.copy_to_slice(2 * 4096, &mut both).expect("inside");
    assert_eq!((both[0], both[4092]), (10, 0x88));

    let refused = |outcome: Result<(), Error>| match outcome {
        Err(Error::NotMapped { index, .. }) => index,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(mapping.read::<u8>(4096).map(drop)), 1);
    assert_eq!(refused(mapping.read::<u64>(4096 - 1).map(drop)), 1, "from the front, with a few bytes");
    assert_eq!(refused(mapping.read::<u64>(8192 - 1).map(drop)), 1, "from behind, with one byte");
    assert_eq!(refused(mapping.copy_to_slice(0, &mut vec![0; 5 * 4096])), 1);
    assert_eq!(refused(mapping.copy_from_slice(3 * 4096, &[1; 4097])), 4);
    assert_eq!(refused(mapping.fill(0, 8192, 1)), 1);
    assert_eq!(refused(mapping.load_u32(4100).map(drop)), 1);
    assert_eq!(refused(mapping.atomic_u8(4100).map(drop)), 1);
    assert_eq!(refused(mapping.atomic_u32(4100).map(drop)), 1);
    assert_eq!(refused(mapping.atomic_u64(4104).map(drop)), 1);
    assert_eq!(mapping.read::<u64>(0).expect("inside"), 8, "nothing was written");
    mapping.copy_to_slice(4096, &mut []).expect("nothing is no access");

    let outside = mapping.read::<u8>(5 * 4096);
    assert!(matches!(outside, Err(Error::Access(AccessError::OutOfBounds { .. }))), "{outside:?}");
    let outside = mapping.read::<u64>(usize::MAX - 3);
    assert!(matches!(outside, Err(Error::Access(AccessError::OutOfBounds { .. }))), "{outside:?}");
    let odd = mapping.atomic_u32(2);
    assert!(matches!(odd, Err(Error::Access(AccessError::Misaligned { .. }))), "{odd:?}");
}

#[test]
fn a_restricted_handle_knows_one_domain() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let other = DomId::new(4).expect("a domain");
    let mut restricted_to = None;
    let _fake = driver(&log, move |opcode, operand| match opcode {
        RESTRICT if *restricted_to.get_or_insert(operand[0]) != operand[0] => errno(EINVAL),
        RESTRICT => Ok(0),
        _ => {
            let batch = Batch::of(operand);
            if batch.domain != 3 {
                return errno(EPERM);
            }
            batch.serve(&ram, true, |_| 0);
            Ok(0)
        }
    });
    let clone = memory.clone();
    let restricted = memory.restrict(guest()).expect("restricted");
    assert_eq!(log.borrow()[0], "restrict [3, 0]");
    assert_eq!(restricted.domain(), guest());
    let mapping = restricted.map(&gfns(&[1])).expect("mapped");
    assert_eq!(mapping.read::<u64>(0).expect("inside"), 1);
    let error = clone.map(other, &gfns(&[1])).expect_err("the file is restricted, not the handle");
    assert!(matches!(error, Error::Restricted { .. } | Error::LockedDown { .. }), "{error:?}");
    let error = clone.restrict(other).expect_err("only once");
    assert_eq!(
        error.to_string(),
        "cannot restrict the file to domain 4: it is restricted to another one already"
    );
}
