//! The features' names, sorted at compile time because a start looks up hundreds of them.

use std::cmp::Ordering;

use super::{
    id::FeatureId,
    table::{COUNT, ROWS},
};

/// Each feature's name and its aliases, in the order of their bytes.
static NAMES: [(&str, FeatureId); NAME_COUNT] = SORTED;
const SORTED: [(&str, FeatureId); NAME_COUNT] = sort(names());
const NAME_COUNT: usize = {
    let (mut count, mut id) = (COUNT, 0);
    while id < COUNT {
        count += ROWS[id].aliases.len();
        id += 1;
    }
    count
};

/// The needs of all features, one after the other.
static NEEDS: [FeatureId; NEED_COUNT] = resolve();
/// The index in [`NEEDS`] of each feature's first need. Its needs end where the next feature's begin.
static STARTS: [usize; COUNT + 1] = starts();
const NEED_COUNT: usize = starts()[COUNT];

/// The feature of exactly this name.
pub(super) fn find(name: &str) -> Option<FeatureId> {
    let place = NAMES.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    Some(NAMES[place].1)
}

/// The needs of a feature.
pub(super) fn needs(id: FeatureId) -> &'static [FeatureId] {
    &NEEDS[STARTS[id.index()]..STARTS[id.index() + 1]]
}

const fn names() -> [(&'static str, FeatureId); NAME_COUNT] {
    let mut names = [("", FeatureId(0)); NAME_COUNT];
    let (mut name, mut id) = (0, 0);
    while id < COUNT {
        let number = FeatureId(number(id));
        names[name] = (ROWS[id].name, number);
        name += 1;
        let mut alias = 0;
        while alias < ROWS[id].aliases.len() {
            names[name] = (ROWS[id].aliases[alias], number);
            name += 1;
            alias += 1;
        }
        id += 1;
    }
    names
}

#[expect(clippy::cast_possible_truncation, reason = "checked")]
const fn number(id: usize) -> u16 {
    assert!(id <= u16::MAX as usize);
    id as u16
}

/// Heapsort: the standard library's sorting does not work in constants.
const fn sort<const LEN: usize>(
    mut names: [(&'static str, FeatureId); LEN],
) -> [(&'static str, FeatureId); LEN] {
    let mut root = LEN / 2;
    while root > 0 {
        root -= 1;
        sift(&mut names, root, LEN);
    }
    let mut end = LEN;
    while end > 1 {
        end -= 1;
        names.swap(0, end);
        sift(&mut names, 0, end);
    }
    names
}

/// Lets the name at `root` sink to its place in the heap that ends at `end`.
const fn sift(names: &mut [(&'static str, FeatureId)], mut root: usize, end: usize) {
    loop {
        let mut child = 2 * root + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && compare(names[child].0, names[child + 1].0).is_lt() {
            child += 1;
        }
        if compare(names[root].0, names[child].0).is_ge() {
            return;
        }
        names.swap(root, child);
        root = child;
    }
}

/// Compares as `str::cmp` does.
const fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut place = 0;
    while place < left.len() && place < right.len() {
        if left[place] != right[place] {
            return if left[place] < right[place] { Ordering::Less } else { Ordering::Greater };
        }
        place += 1;
    }
    if left.len() < right.len() {
        Ordering::Less
    } else if left.len() > right.len() {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

const fn starts() -> [usize; COUNT + 1] {
    let mut starts = [0; COUNT + 1];
    let mut id = 0;
    while id < COUNT {
        starts[id + 1] = starts[id] + ROWS[id].needs.len();
        id += 1;
    }
    starts
}

const fn resolve() -> [FeatureId; NEED_COUNT] {
    let mut needs = [FeatureId(0); NEED_COUNT];
    let (mut place, mut id) = (0, 0);
    while id < COUNT {
        let mut need = 0;
        while need < ROWS[id].needs.len() {
            needs[place] = existing(ROWS[id].needs[need]);
            place += 1;
            need += 1;
        }
        id += 1;
    }
    needs
}

/// Finds a feature that another one needs. A name that does not exist is a compile error that shows it.
const fn existing(name: &str) -> FeatureId {
    let (mut low, mut high) = (0, NAME_COUNT);
    while low < high {
        let middle = low + (high - low) / 2;
        match compare(SORTED[middle].0, name) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return SORTED[middle].1,
        }
    }
    panic!("{}", name)
}

#[cfg(test)]
#[path = "names_test.rs"]
mod tests;
