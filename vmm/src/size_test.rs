use super::*;

#[test]
fn sizes_are_read_as_qemu_reads_them() {
    for (text, bytes) in
        [("512", 512 << 20), ("2G", 2 << 30), ("1k", 1024), ("3MiB", 3 << 20), ("0", 0), ("1T", 1 << 40)]
    {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "G", "2X", "-1G", "1.5G", "99999999999T", "2 G"] {
        let error = text.parse::<Size>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("'{text}' is no amount of memory")), "{error}");
    }
}

#[test]
fn sizes_are_shown_in_the_largest_whole_unit() {
    for (bytes, text) in
        [(0, "0 bytes"), (1, "1 bytes"), (4096, "4 KiB"), (3 << 30, "3 GiB"), (1025 << 20, "1025 MiB")]
    {
        assert_eq!(Size(bytes).to_string(), text);
    }
}
