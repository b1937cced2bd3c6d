use super::*;

/// Counts of 1, 2, 4, 8, 16, 32 and 64 bits: each is set to 1 separately, in its own bytes, the most significant first.
#[test]
fn each_count_is_its_own() {
    for order in 0..=6 {
        let counts = (8 * 64) >> order;
        for index in 0..counts {
            let mut block = [0; 64];
            let counter = Counter::new(index, order);
            assert!(counter.is_zero(&block));
            counter.set_to_one(&mut block);
            let set: Vec<_> =
                (0..counts).filter(|&other| !Counter::new(other, order).is_zero(&block)).collect();
            assert_eq!(set, [index], "2^{order} bits");
            let number = block[counter.bytes.clone()]
                .iter()
                .fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
            let shift = if order < 3 { (index << order) % 8 } else { 0 };
            assert_eq!(number >> shift, 1, "2^{order} bits, number {index}");
        }
    }
}

/// A count beyond the end of the block is zero, and stays so.
#[test]
fn bytes_past_the_end_are_not_changed() {
    let mut block = [0; 4];
    let counter = Counter::new(3, 4);
    counter.set_to_one(&mut block);
    assert!(counter.is_zero(&block));
    assert_eq!(block, [0; 4]);
}
