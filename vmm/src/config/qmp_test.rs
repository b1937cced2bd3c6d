use super::*;

fn path(given: &str) -> Result<String, String> {
    match QmpConfig::parse(OsStr::new(given)) {
        Ok(config) => Ok(config.path.into_os_string().into_string().unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_path_can_be_given_in_qemus_form() {
    for given in [
        "/run/a",
        "/run/a,server=on,wait=off",
        "unix:/run/a,server=on,wait=off",
        "unix:/run/a,server,nowait",
        "unix=/run/a,server=on,wait=off",
    ] {
        assert_eq!(path(given), Ok("/run/a".to_owned()), "{given}");
    }
    assert_eq!(path("a,,b"), Ok("a,b".to_owned()));
    assert_eq!(path("./stdio"), Ok("./stdio".to_owned()));
}

#[test]
fn unsupported_settings_are_refused_with_a_remedy() {
    for (given, why) in [
        ("", "give the path of a unix socket, which nvmm makes"),
        ("stdio", "give the path of a unix socket, which nvmm makes"),
        ("unix:,server,nowait", "give the path of a unix socket, which nvmm makes"),
        (
            "tcp:127.0.0.1:4444,server,nowait",
            "tcp: can't be had; give the path of a unix socket, which nvmm makes",
        ),
        ("unix:/run/a", "nvmm listens there, and connects to nobody; add server=on,wait=off"),
        ("unix:/run/a,server", "the machine waits for no client; add wait=off"),
        ("/run/a,wait=on", "the machine waits for no client; add wait=off"),
        (
            "/run/a,b",
            "'b' means nothing here; give server=on,wait=off or nothing; a comma in a path is written twice",
        ),
    ] {
        assert_eq!(path(given), Err(format!("--qmp {given}: {why}")));
    }
}
