use super::*;

#[test]
fn numbers_are_bytes_in_the_unit_that_they_have() {
    for (text, bytes) in [
        ("0", 0),
        ("1000", 7000),
        ("512b", 512),
        ("512B", 512),
        ("1k", 1 << 10),
        ("1KB", 1 << 10),
        ("3M", 3 << 20),
        ("10GiB", 10 << 30),
        ("7T", 7 << 40),
        ("2P", 2 << 50),
        ("7E", 7 << 60),
        ("9223372036854775296B", MOST),
    ] {
        assert_eq!(parse(text, 7), Ok(bytes), "{text}");
    }
    for text in ["", "G", "B", "-1", "1.5G", "1 G", "0x10", "1iB", "1iB1", "1Ki", "1KBB", "1X"] {
        assert_eq!(parse(text, 1), Err(ParseError::NotOne), "{text}");
    }
    for text in ["8E", "16777216T", "9223372036854775297", "99999999999999999999"] {
        assert_eq!(parse(text, 1), Err(ParseError::TooMuch), "{text}");
    }
}

#[test]
fn sizes_are_read_as_qemu_reads_them() {
    for (text, bytes) in
        [("512", 512 << 20), ("2G", 2 << 30), ("1k", 1024), ("3MiB", 3 << 20), ("0", 0), ("1T", 1 << 40)]
    {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "G", "2X", "-1G", "1.5G", "2 G"] {
        let error = text.parse::<Size>().unwrap_err().to_string();
        let why = "give a number with K, M, G or T, such as 2G or 512M";
        assert_eq!(error, format!("'{text}' is no amount of memory: {why}"));
    }
    let error = "99999999999T".parse::<Size>().unwrap_err().to_string();
    assert_eq!(error, "'99999999999T' is no amount of memory: that is too much; the most is 8E - 512");
}

#[test]
fn sizes_are_shown_exactly() {
    assert_eq!(Size(1025 << 20).to_string(), "1025 MiB");
}
