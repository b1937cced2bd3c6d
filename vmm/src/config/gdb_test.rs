use super::*;

fn parsed(given: &str) -> Result<Address, String> {
    gdb(OsStr::new(given)).map_err(|error| error.to_string())
}

fn local(port: u16) -> Result<Address, String> {
    Ok(Address::Tcp { host: "127.0.0.1".to_owned(), port })
}

#[test]
fn places_have_a_meaning() {
    assert_eq!(parsed("tcp::1234"), local(1234));
    assert_eq!(parsed("tcp:127.0.0.1:0"), local(0));
    assert_eq!(parsed("tcp::1234,server=on,wait=off"), local(1234));
    assert_eq!(parsed("tcp::1234,server,nowait"), local(1234));
    assert_eq!(parsed("unix:/run/a,,b"), Ok(Address::Unix("/run/a,b".into())));
    assert_eq!(parsed("unix=gdb,server"), Ok(Address::Unix("gdb".into())));
}

#[test]
fn all_else_is_refused_with_what_would_do() {
    for (given, why) in [
        ("", PLACES),
        ("1234", PLACES),
        ("stdio", PLACES),
        ("pty", PLACES),
        ("chardev:mon0", PLACES),
        ("unix:", "the path is missing"),
        ("tcp:1234", "give HOST:PORT"),
        ("tcp::gdb", "give a port from 1 to 65535, or 0 for one that is free"),
        ("tcp::99999", "give a port from 1 to 65535, or 0 for one that is free"),
        ("tcp::1234,server=off", "gdb connects to nvmm"),
        ("tcp::1234,wait=on", "add --paused"),
        ("tcp::1234,nowait=off", "add --paused"),
        ("tcp::1234,telnet", "'telnet' means nothing here"),
    ] {
        let error = parsed(given).unwrap_err();
        assert!(error.starts_with(&format!("--gdb {given}")) && error.contains(why), "{error}");
    }
}
