use super::read;

#[test]
fn reads_are_clipped_to_the_block() {
    let image = [1, 2, 3, 4];
    for (offset, len, expected) in [
        (0, 4, &[1, 2, 3, 4][..]),
        (1, 2, &[2, 3]),
        (2, 4, &[3, 4, 0xaa, 0xaa]),
        (4, 1, &[0xaa]),
        (u64::MAX, 8, &[0xaa; 8]),
        (0, 0, &[]),
    ] {
        let mut data = vec![0xaa; len];
        read(&image, offset, &mut data);
        assert_eq!(data, expected, "{len} bytes at {offset}");
    }
}
