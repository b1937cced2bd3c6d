use super::*;

#[test]
fn exact_sizes_are_shown_in_the_largest_whole_unit() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (1, "1 byte"),
        (4096, "4 KiB"),
        (4097, "4097 bytes"),
        (3 << 30, "3 GiB"),
        (1025 << 20, "1025 MiB"),
        (1 << 63, "8 EiB"),
    ] {
        assert_eq!(Exact(bytes).to_string(), text);
    }
}

#[test]
fn rounded_sizes_have_tenths() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 52, "1023.9 KiB"),
        ((1 << 20) - 51, "1 MiB"),
        (10 << 30, "10 GiB"),
        ((10 << 30) + 1, "10 GiB"),
        (196_616, "192 KiB"),
        (1_288_490_189, "1.2 GiB"),
        (u64::MAX, "16 EiB"),
    ] {
        assert_eq!(Rounded(bytes).to_string(), text);
    }
}
