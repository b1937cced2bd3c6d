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
fn sizes_are_shown_exactly() {
    assert_eq!(Size(1025 << 20).to_string(), "1025 MiB");
}
