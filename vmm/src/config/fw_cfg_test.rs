use std::fs;

use super::*;

fn parsed(given: &[&str]) -> Result<Vec<FwCfgFile>, String> {
    let given: Vec<_> = given.iter().map(OsString::from).collect();
    parse(&given).map(|(files, _)| files).map_err(|error| error.to_string())
}

fn file(name: &str, bytes: &[u8]) -> FwCfgFile {
    FwCfgFile { name: name.to_owned(), bytes: bytes.to_owned() }
}

#[test]
fn a_file_has_a_text_or_what_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a,b");
    fs::write(&path, b"\xff\0,").unwrap();
    let escaped = path.to_str().unwrap().replace(',', ",,");
    let given = [
        "opt/io.systemd.credentials/motd,string=a,,b=c",
        "name=opt/x,string=",
        &format!("opt/y,file={escaped}"),
        "string=first,name=opt/z",
    ];
    let expected = [
        file("opt/io.systemd.credentials/motd", b"a,b=c"),
        file("opt/x", b""),
        file("opt/y", b"\xff\0,"),
        file("opt/z", b"first"),
    ];
    assert_eq!(parsed(&given).unwrap(), expected);
    let given = given.map(OsString::from);
    assert_eq!(parse(&given).unwrap().1, [path]);
    // Secrets are not printed.
    assert_eq!(format!("{:?}", expected[0]), "opt/io.systemd.credentials/motd(5)");
}

#[test]
fn impossible_files_are_refused() {
    let long = format!("opt/{},string=a", "x".repeat(52));
    for (given, why) in [
        ("opt/a", "give file=PATH or string=TEXT, one of them"),
        ("opt/a,file=b,string=c", "give file=PATH or string=TEXT, one of them"),
        ("opt/a,file=/nowhere/b", "file=/nowhere/b: No such file"),
        ("opt/a,file=/dev/zero", "it has more than 16 MiB"),
        ("opt/a,gen_id=b", "gen_id"),
        ("string=a", "give a name first"),
        (",string=a", "a name has 1 to 55"),
        ("opt/a b,string=a", "a name has 1 to 55"),
        (&long, "a name has 1 to 55"),
    ] {
        let error = parsed(&[given]).unwrap_err();
        assert!(error.starts_with("--fw-cfg ") && error.contains(why), "{given}: {error}");
    }
    let error = parsed(&["opt/a,string=b", "opt/a,string=c"]).unwrap_err();
    assert_eq!(error, "--fw-cfg opt/a,string=c: another has this name; give each its own");
    let many: Vec<_> = (0..65).map(|number| format!("opt/{number},string=")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(parsed(&many[..64]).unwrap().len(), 64);
    assert!(parsed(&many).unwrap_err().starts_with("--fw-cfg opt/64,string=: that is one too many"));
}
