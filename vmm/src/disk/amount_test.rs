use super::*;

#[test]
fn numbers_are_bytes_unless_they_have_a_unit() {
    for (text, expected) in [("1000", 1000), ("512b", 512), ("3M", 3 << 20), ("7E", 7 << 60)] {
        assert_eq!(text.parse(), Ok(Amount(expected)), "{text}");
    }
    assert_eq!("8E".parse::<Amount>(), Err(ParseError::TooMuch));
}

#[test]
fn people_read_tenths() {
    assert_eq!(Amount(1_288_490_189).to_string(), "1.2 GiB");
}
