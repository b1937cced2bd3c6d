use std::cell::Cell;

use super::*;

fn bytes(cache: &Cache<u8>) -> usize {
    cache.with(|it| it.young.values().chain(it.old.values()).map(|value| value.len()).sum())
}

#[test]
fn loads_once_and_stays_within_its_bounds() {
    let cache = Cache::<u8>::new(100);
    let loads = Cell::new(0);
    let get = |part: u64, len: usize| {
        let value = cache.get((1, part), || {
            loads.set(loads.get() + 1);
            Ok(vec![u8::try_from(part % 251).unwrap(); len].into())
        });
        assert_eq!(*value.unwrap(), vec![u8::try_from(part % 251).unwrap(); len]);
        assert!(bytes(&cache) <= 200, "{cache:?}");
    };
    for part in 0..1000 {
        get(part, 10);
        get(part, 10);
        assert_eq!(loads.get(), part + 1);
        // A part that is constantly in use is never dropped.
        get(0, 10);
    }
    // A part larger than the cache is not kept.
    get(5000, 101);
    get(5000, 101);
    assert_eq!(loads.get(), 1002);
}

#[test]
fn extents_have_their_own_parts_and_errors_are_not_kept() {
    let cache = Cache::<u32>::new(100);
    assert!(cache.get((0, 7), || Err(io::ErrorKind::InvalidData.into())).is_err());
    assert_eq!(*cache.get((0, 7), || Ok([1].into())).unwrap(), [1]);
    assert_eq!(*cache.get((1, 7), || Ok([2].into())).unwrap(), [2]);
    assert_eq!(*cache.get((0, 7), || Ok([3].into())).unwrap(), [1]);
}
