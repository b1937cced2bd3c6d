use std::collections::BTreeSet;

use proptest::prelude::*;
use vm_memory::GuestAddress;

use super::*;

#[test]
fn all_of_memory_without_its_holes() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x5000), (GuestAddress(0x10_0000), 0x2000)]);
    let set = PageSet::all(&memory.unwrap());
    assert_eq!(set.runs().collect::<Vec<_>>(), [0..5, 0x100..0x102]);
    assert_eq!(set.count(), 7);
    assert_eq!(PageSet::default().runs().count(), 0);
}

proptest! {
    #[test]
    fn runs_are_the_pages_that_were_added(
        ranges in prop::collection::vec((0_u64..500, 0_u64..90), 0..6),
        bits in prop::collection::vec((0_u64..300, prop::collection::vec(any::<u64>(), 0..4)), 0..4),
    ) {
        let (mut set, mut expected) = (PageSet::default(), BTreeSet::new());
        for (start, len) in ranges {
            set.add(start..start + len);
            expected.extend(start..start + len);
        }
        for (first, words) in bits {
            for (number, word) in (0_u64..).zip(&words) {
                let pages = (0..64).filter(|bit| word & 1 << bit != 0);
                expected.extend(pages.map(|bit| first + 64 * number + bit));
            }
            set.add_bits(first, words);
        }
        let runs: Vec<_> = set.runs().collect();
        prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert_eq!(set.count(), expected.len() as u64);
        prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
}
