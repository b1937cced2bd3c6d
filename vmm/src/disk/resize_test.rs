use super::*;

#[test]
fn sizes_to_come_to() {
    let size =
        |text: &str, from| text.parse::<Growth>().unwrap().from(from).map_err(|error| error.to_string());
    assert_eq!(size("10G", 512), Ok(10 << 30));
    assert_eq!(size("+1K", 512), Ok(1536));
    assert_eq!(size("0", 512), Ok(0));
    let odd = Err("a disk can't have 1012 bytes; give it a multiple of 512".to_owned());
    assert_eq!((size("+500", 512), size("1012", 512)), (odd.clone(), odd));
    assert!(
        size("+7E", 7 << 60)
            .is_err_and(|error| error.starts_with("a disk can't have 16140901064495857664 bytes"))
    );
    for text in ["", "+", "++1G", "-1G", "1.5G"] {
        assert_eq!(text.parse::<Growth>(), Err(ParseError::NotOne), "{text}");
    }
}
