use std::os::unix::{
    fs::PermissionsExt,
    net::{UnixListener, UnixStream},
};

use super::*;

/// The names of the files in a directory.
fn names(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect()
}

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
    // A socket created by another program.
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
    // Now left behind.
    let listener = Listener::new(&address, Access::Owner).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another").unwrap();
    drop(listener);
    assert_eq!(fs::read(&path).unwrap(), b"another");
    assert!(matches!(Listener::new(&address, Access::Owner), Err(AddressError::NoSocket(_))));
}

#[test]
fn a_socket_has_its_name_only_once_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // Bound and listening, but without its final name.
    let (_socket, temporary) = unix_beside(&path, Access::Owner).unwrap();
    assert!(!path.exists());
    let name = temporary.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!(".socket.{}-0", process::id()));
    let file = temporary.link(&path).unwrap();
    assert_eq!((names(folder.path()), mode(&path)), (vec!["socket".into()], 0o600));
    let _peer = UnixStream::connect(&path).unwrap();
    // Another program's socket that was created at the same time is not replaced, and nothing is left behind.
    let (_socket, temporary) = unix_beside(&path, Access::Owner).unwrap();
    assert_eq!(temporary.link(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    drop(file);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn temporary_names_fit_where_the_name_fits() {
    let folder = tempfile::tempdir().unwrap();
    let room = LONGEST_PATH - folder.path().as_os_str().len() - 1;
    for len in [1, room] {
        let path = folder.path().join("x".repeat(len));
        // Files left behind by a killed process don't disturb.
        let (_other, _temporary) = unix_beside(&path, Access::Umask).unwrap();
        let listener = Listener::new(&Address::Unix(path.clone()), Access::Umask).unwrap();
        let _peer = UnixStream::connect(&path).unwrap();
        assert!(listener.accept().unwrap().is_some());
    }
    // A directory's path that leaves room for a single letter.
    let deep = folder.path().join("y".repeat(room - 2));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("z");
    assert_eq!(path.as_os_str().len(), LONGEST_PATH);
    let _listener = Listener::new(&Address::Unix(path.clone()), Access::Umask).unwrap();
    assert_eq!(names(&deep), ["z"]);
    // Without room for a name, listening is not possible.
    assert!(matches!(Listener::new(&Address::Unix("".into()), Access::Umask), Err(AddressError::Failed(..))));
}

#[test]
fn temporary_names_of_killed_processes_are_removed_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut child = process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let (gone, ours) = (child.id(), process::id());
    let left = [format!(".socket.{gone}-0"), format!(".socket.{gone}-3"), format!(".socket.{ours}-0")];
    for name in &left {
        drop(UnixListener::bind(folder.path().join(name)).unwrap());
    }
    let live = format!(".socket.{gone}-1");
    let _live = UnixListener::bind(folder.path().join(&live)).unwrap();
    // The name of a process that is about to listen, and names that only look similar.
    let others = [".socket.1-0".to_owned(), format!(".other.{gone}-0"), format!(".socket.{gone}")];
    for name in &others {
        drop(UnixListener::bind(folder.path().join(name)).unwrap());
    }
    fs::write(folder.path().join(format!(".socket.{gone}-2")), "a file").unwrap();
    let listener = Listener::new(&Address::Unix(path), Access::Owner).unwrap();
    drop(listener);
    let mut kept: Vec<_> = names(folder.path());
    kept.sort();
    let mut expected: Vec<OsString> = others.iter().map(OsString::from).collect();
    expected.extend([OsString::from(live), format!(".socket.{gone}-2").into()]);
    expected.sort();
    assert_eq!(kept, expected);
}
