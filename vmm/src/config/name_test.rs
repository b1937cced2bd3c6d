use std::os::unix::ffi::OsStrExt;

use super::*;

#[test]
fn a_name_is_printable_text() {
    let parsed = |given: &str| name(OsStr::new(given)).map_err(|error| error.to_string());
    for (given, expected) in [("vm1", "vm1"), ("a,,b c", "a,b c"), ("Gäste/1=x", "Gäste/1=x")] {
        assert_eq!(parsed(given), Ok(expected.to_owned()));
    }
    assert_eq!(parsed(&"x".repeat(255)).unwrap().len(), 255);
    for (given, why) in [
        ("", "give a name"),
        ("a,process=b", "give the name alone; a comma in it is written twice"),
        ("a\nb", "there is a control character in it"),
        (&"x".repeat(256), "it has 256 bytes; give 255 at most"),
    ] {
        let error = parsed(given).unwrap_err();
        assert!(error.starts_with("--name ") && error.contains(why), "{error}");
    }
    assert!(name(OsStr::from_bytes(b"a\xff")).unwrap_err().to_string().contains("it is not UTF-8"));
}
