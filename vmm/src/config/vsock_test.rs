use super::*;

fn parsed(given: &str) -> Result<VsockConfig, String> {
    VsockConfig::parse(given.as_ref()).map_err(|error| error.to_string())
}

#[test]
fn addresses_and_paths() {
    let config = |cid, path: &str| Ok(VsockConfig { cid, path: Some(path.into()) });
    assert_eq!(parsed("cid=3,uds=/run/vm/vsock"), config(3, "/run/vm/vsock"));
    assert_eq!(parsed("uds=a,,b,cid=4294967294"), config(0xffff_fffe, "a,b"));
    assert_eq!(parsed("guest-cid=7,uds=v"), config(7, "v"));
    assert_eq!(parsed("cid=3"), Ok(VsockConfig { cid: 3, path: None }));
}

#[test]
fn invalid_options_are_named_with_valid_ones() {
    let long = format!("cid=3,uds={}", "x".repeat(97));
    for (given, expected) in [
        ("", "means nothing here; give cid=N, or cid=N,uds=PATH"),
        ("uds=v", "address is missing; give cid=N, or cid=N,uds=PATH"),
        ("cid=3,uds=", "the path is missing"),
        ("cid=3,uds", "'uds' needs a value: uds=PATH"),
        ("cid=2", "cid=2: give a number from 3 to 4294967294"),
        ("cid=4294967295,uds=v", "give a number from 3"),
        ("cid=many,uds=v", "cid=many: give a number"),
        ("cid=+3,uds=v", "cid=+3: give a number from 3"),
        ("cid=3,cid=4,uds=v", "'cid' is there twice"),
        ("cid=3,guest-cid=3,uds=v", "leave one of them out"),
        ("cid=3,uds=v,mode=1", "'mode' means nothing here; give cid=N, or cid=N,uds=PATH"),
        (&long, "the path has 108 bytes, and a unix socket's has at most 107; give a shorter one"),
    ] {
        let error = parsed(given).unwrap_err();
        assert!(error.starts_with(&format!("--vsock {given}: ")), "{error}");
        assert!(error.contains(expected), "{given}: {error}");
    }
}
