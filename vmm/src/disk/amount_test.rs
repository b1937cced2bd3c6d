use super::*;

#[test]
fn numbers_are_bytes_unless_they_have_a_unit() {
    let bytes = |text: &str| text.parse().map(|Amount(bytes)| bytes);
    for (text, expected) in [
        ("0", 0),
        ("1000", 1000),
        ("512b", 512),
        ("1k", 1 << 10),
        ("3M", 3 << 20),
        ("10GiB", 10 << 30),
        ("7T", 7 << 40),
        ("2P", 2 << 50),
        ("7E", 7 << 60),
    ] {
        assert_eq!(bytes(text), Ok(expected), "{text}");
    }
    for text in ["", "G", "-1", "1.5G", "1KB", "1 G", "0x10", "1iB1", "1Ki"] {
        assert_eq!(bytes(text), Err(AmountError::NotOne), "{text}");
    }
    for text in ["8E", "16777216T", "9223372036854775297", "99999999999999999999"] {
        assert_eq!(bytes(text), Err(AmountError::TooMuch), "{text}");
    }
    assert_eq!(bytes("9223372036854775296"), Ok(Amount::MOST));
}

#[test]
fn people_read_tenths() {
    assert_eq!(Amount(1_288_490_189).to_string(), "1.2 GiB");
}
