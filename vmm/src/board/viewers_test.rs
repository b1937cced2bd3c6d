use std::{net::TcpListener, path::Path};

use tempfile::TempDir;

use super::*;
use crate::config::VncPlace;

fn config(place: VncPlace) -> VncConfig {
    VncConfig { place, password_file: None }
}

fn tcp(first: u16, last: u16) -> VncConfig {
    config(VncPlace::Tcp { host: "127.0.0.1".to_owned(), displays: first..=last })
}

/// A display whose port is taken while the value lives. Other processes may take the ports after it.
fn taken() -> (TcpListener, u16) {
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let found = std::iter::from_fn(|| TcpListener::bind("127.0.0.1:0").ok()).take(1000);
    let found = found.map(|listener| (port(&listener), listener)).find(|(port, _)| *port >= 5900);
    let (port, listener) = found.unwrap();
    (listener, port - 5900)
}

#[test]
fn a_display_that_is_taken_is_named_with_one_that_is_free() {
    let (_listener, display) = taken();
    let error = listen(&tcp(display, display)).unwrap_err().to_string();
    let port = 5900 + display;
    let start = format!("127.0.0.1:{port}: another program listens there; vnc=127.0.0.1:");
    assert!(error.starts_with(&start), "{error}");
    assert!(error.ends_with(" is free, or add to=N to take the first that is"), "{error}");
    // The first free one is used if several are possible.
    let listener = listen(&tcp(display, 59635)).unwrap();
    assert_ne!(*listener.address(), VncPlace::address("127.0.0.1", display));
}

#[test]
fn a_path_is_its_users_own() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vnc");
    let listener = listen(&config(VncPlace::Unix(path.clone()))).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let error = listen(&config(VncPlace::Unix(path.clone()))).unwrap_err();
    assert!(error.to_string().ends_with("another program listens there; give another path"), "{error}");
    drop(listener);
    assert!(!path.exists());
    let error = listen(&config(VncPlace::Unix(Path::new("/nowhere/vnc").into()))).unwrap_err();
    assert!(error.to_string().contains("/nowhere/vnc"), "{error}");
}
