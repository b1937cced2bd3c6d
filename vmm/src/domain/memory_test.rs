use super::*;

#[test]
fn amounts_have_libvirts_units() {
    for (number, unit, bytes_of) in [
        ("1", "KiB", Some(1024)),
        ("1", "k", Some(1024)),
        ("1", "KB", Some(1000)),
        (" 2 ", "MiB", Some(2 << 20)),
        ("2", "m", Some(2 << 20)),
        ("3", "gb", Some(3_000_000_000)),
        ("1", "T", Some(1 << 40)),
        ("1", "EiB", Some(1 << 60)),
        ("512", "bytes", Some(512)),
        ("512", "b", Some(512)),
        ("16", "EiB", None),
        ("18446744073709551616", "b", None),
        ("-1", "KiB", None),
        ("1.5", "GiB", None),
        ("1", "", None),
        ("1", "KiBi", None),
        ("1", "furlong", None),
        ("1", "\u{1d40a}", None),
        ("", "KiB", None),
    ] {
        assert_eq!(bytes(number, unit), bytes_of, "{number} {unit}");
    }
}
