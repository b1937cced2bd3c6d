use std::os::unix::{
    fs::PermissionsExt,
    net::{UnixListener, UnixStream},
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_owner_alone_may_connect_if_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = Address::Unix(path.clone());
    for _ in 0..2 {
        let listener = Listener::new(&address, Access::Owner).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(listener.accept().unwrap().is_none());
        let _peer = UnixStream::connect(&path).unwrap();
        assert!(listener.accept().unwrap().is_some());
    }
    assert!(!path.exists());
    // As a socket by anybody else.
    let other = folder.path().join("other");
    let _other = UnixListener::bind(&other).unwrap();
    let _listener = Listener::new(&address, Access::Umask).unwrap();
    assert_eq!(mode(&path), mode(&other));
}

#[test]
fn a_file_of_another_owner_is_neither_replaced_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = Address::Unix(path.clone());
    let live = UnixListener::bind(&path).unwrap();
    assert!(matches!(Listener::new(&address, Access::Owner), Err(AddressError::PathInUse(_))));
    drop(live);
    // Left behind now.
    let listener = Listener::new(&address, Access::Owner).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another").unwrap();
    drop(listener);
    assert_eq!(fs::read(&path).unwrap(), b"another");
    assert!(matches!(Listener::new(&address, Access::Owner), Err(AddressError::NoSocket(_))));
}
