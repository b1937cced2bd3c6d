use std::{fs, os::unix::net::UnixListener};

use super::*;

#[test]
fn a_failed_connection_gives_one_line_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "").unwrap();
    drop(UnixListener::bind(path("stale")).unwrap());
    let long = "x".repeat(200);
    for (name, why) in [
        ("", "it is a folder, and no control socket; give the path that --qmp named"),
        ("file", "it is a file, and no control socket; give the path that --qmp named"),
        ("file/socket", "there is no connection"),
        ("none", "there is no such control socket; give the path that --qmp named"),
        ("stale", "no machine listens there; the one that did has ended, or was killed"),
        (&long, "and a unix socket's has at most 107; give a shorter one"),
    ] {
        let path = path(name);
        let told = format!("{:#}", Connection::open(&path).unwrap_err());
        assert!(told.starts_with(&format!("{}: ", path.display())), "{told}");
        assert!(told.contains(why) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_machine_of_another_user_is_reported_with_that_user() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let told = |path: &Path| refusal("vm", path, io::ErrorKind::PermissionDenied.into()).to_string();
    let user = rustix::process::geteuid().as_raw();
    assert!(told(&socket).contains(&format!("(its user id is {user}), or root")), "{}", told(&socket));
    // Also a socket that can't be seen.
    assert!(told(&folder.path().join("none")).contains("may not look into its folder"));
}
