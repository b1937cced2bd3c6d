use proptest::prelude::*;

use super::*;

/// A step of a driver, mostly a meaningful one.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let what = prop_oneof![4 => 1..8_u8, 4 => Just(0x80_u8), 3 => 0x81..0x87_u8, 1 => any::<u8>()];
    let which = prop_oneof![6 => Just(9_u8), 3 => Just(13), 1 => any::<u8>()];
    let len = prop_oneof![4 => 0..200_u16, 1 => any::<u16>()];
    let fwd_cnt = prop_oneof![2 => Just(0_u32), 2 => 0..5000_u32, 1 => any::<u32>()];
    (what, which, 0..4_u8, any::<u8>(), len, 0..300_u16, any::<u16>(), fwd_cnt).prop_map(
        |(what, which, flags, cut, len, more, buf_alloc, fwd_cnt)| {
            let numbers = [len, len.saturating_add(more).saturating_sub(10), buf_alloc];
            let numbers = numbers.into_iter().flat_map(u16::to_le_bytes);
            [what, which, flags, cut].into_iter().chain(numbers).chain(fwd_cnt.to_le_bytes()).collect()
        },
    )
}

proptest! {
    #[test]
    fn steps_in_any_order(steps in prop::collection::vec(step(), 0..200)) {
        vsock(&steps.concat());
    }
}
