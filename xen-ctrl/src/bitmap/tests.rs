//! Maps compared with sets of the standard library.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn numbers() -> impl Strategy<Value = BTreeSet<u32>> {
    proptest::collection::btree_set(prop_oneof![0_u32..70, 0_u32..2000], 0..60)
}

fn map(numbers: &BTreeSet<u32>) -> CpuMap {
    numbers.iter().copied().collect()
}

proptest! {
    #[test]
    fn a_map_has_what_was_inserted(set in numbers(), probe in 0_u32..2000) {
        let map = map(&set);
        prop_assert!(map.iter().eq(set.iter().copied()));
        prop_assert_eq!(map.len(), set.len());
        prop_assert_eq!(map.is_empty(), set.is_empty());
        prop_assert_eq!((map.first(), map.last()), (set.first().copied(), set.last().copied()));
        prop_assert_eq!(map.contains(probe), set.contains(&probe));
    }

    #[test]
    fn inserting_and_removing_are_told(mut set in numbers(), probe in 0_u32..70) {
        let mut map = map(&set);
        prop_assert_eq!(map.insert(probe), set.insert(probe));
        prop_assert_eq!(map.remove(probe), set.remove(&probe));
        prop_assert!(!map.remove(probe));
        prop_assert_eq!(&map, &set.iter().copied().collect::<CpuMap>(), "no trace is left");
    }

    #[test]
    fn operators_are_those_of_sets(a in numbers(), b in numbers()) {
        let (x, y) = (map(&a), map(&b));
        prop_assert_eq!(&x & &y, map(&(&a & &b)));
        prop_assert_eq!(&x | &y, map(&(&a | &b)));
        prop_assert_eq!(&x ^ &y, map(&(&a ^ &b)));
        prop_assert_eq!(&x - &y, map(&(&a - &b)));
        prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
        prop_assert!((&x & &y).is_subset(&x));
    }

    #[test]
    fn bytes_and_text_come_back(set in numbers(), zeros in 0_usize..20) {
        let map = map(&set);
        let mut bytes = map.to_bytes();
        for number in 0..bytes.len() * 8 {
            let bit = bytes[number / 8] >> (number % 8) & 1;
            prop_assert_eq!(bit == 1, set.contains(&u32::try_from(number).expect("small")));
        }
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(&CpuMap::from_bytes(&bytes), &map);
        prop_assert_eq!(map.to_string().parse(), Ok(map));
    }

    #[test]
    fn any_text_gives_a_map_or_names_the_item(text in "[0-9, x-]{0,12}") {
        match text.parse::<NodeMap>() {
            Ok(map) => prop_assert_eq!(map.to_string().parse(), Ok(map)),
            Err(error) => prop_assert!(text.contains(&error.item)),
        }
    }
}

#[test]
fn lists_are_written_as_the_kernel_does() {
    for (numbers, list) in [
        (&[][..], ""),
        (&[5], "5"),
        (&[0, 1], "0-1"),
        (&[0, 1, 2, 3, 7], "0-3,7"),
        (&[63, 64, 66], "63-64,66"),
    ] {
        let map: CpuMap = numbers.iter().copied().collect();
        assert_eq!(map.to_string(), list);
        assert_eq!(format!("{map:?}"), format!("CpuMap({list})"));
        assert_eq!(format!(" {list}\n").parse(), Ok(map), "as a file of sysfs ends");
    }
}

#[test]
fn wrong_lists_are_refused_before_they_cost_memory() {
    for (list, item) in [("0,", ""), ("1,4-2", "4-2"), ("0-4294967295", "0-4294967295"), ("-1", "-1")] {
        assert_eq!(list.parse::<CpuMap>(), Err(ParseMapError { item: item.to_owned() }));
    }
    let error = "2-x".parse::<CpuMap>().expect_err("no number");
    assert_eq!(error.to_string(), "`2-x` is neither a number nor a range such as 4-7 (up to 65535)");
}

#[test]
fn the_highest_number_of_all_is_found() {
    let mut map = NodeMap::new();
    map.insert(16383);
    assert_eq!((map.last(), map.to_bytes().len()), (Some(16383), 2048));
}
