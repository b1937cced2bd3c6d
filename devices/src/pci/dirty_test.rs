use super::*;

/// The numbers of the pages in the set, which is cleared.
fn taken(pages: &DirtyPages) -> Vec<usize> {
    let bits = pages.take();
    (0..bits.len() * 64).filter(|page| bits[page / 64] >> (page % 64) & 1 != 0).collect()
}

#[test]
fn ranges_of_bytes_are_the_pages_that_they_touch() {
    let pages = DirtyPages::new(200 * PAGE);
    pages.add(PAGE - 1..PAGE + 1);
    pages.add(63 * PAGE..65 * PAGE);
    pages.add(70 * PAGE..70 * PAGE);
    assert_eq!(taken(&pages), [0, 1, 63, 64]);
    assert_eq!(taken(&pages), [0_usize; 0]);
}

#[test]
fn bits_may_begin_at_any_page() {
    let pages = DirtyPages::new(192 * PAGE);
    pages.add_bits(0, &[1, 1 << 63]);
    assert_eq!(taken(&pages), [0, 127]);
    pages.add_bits(60, &[0b10_0001, 1]);
    assert_eq!(taken(&pages), [60, 65, 124]);
}

#[test]
fn pages_past_the_end_are_left_out() {
    let pages = DirtyPages::new(64 * PAGE);
    pages.add_bits(63, &[0b11, u64::MAX]);
    pages.add_bits(u64::MAX - 64, &[u64::MAX]);
    pages.add(64 * PAGE..80 * PAGE);
    assert_eq!(taken(&pages), [63]);
}
