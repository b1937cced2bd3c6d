use super::*;

#[test]
fn a_drive_is_empty_or_has_an_image() {
    let parse = |given: &str| CdromConfig::parse(given.as_ref());
    assert_eq!(parse("a,b.iso").unwrap().medium, Some("a,b.iso".into()));
    assert_eq!(parse("./none").unwrap().medium, Some("./none".into()));
    assert_eq!(parse("none").unwrap().medium, None);
    let expected = "--cdrom : give the image that is in the drive, or none for an empty one";
    assert_eq!(parse("").unwrap_err().to_string(), expected);
}
