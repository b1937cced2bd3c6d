use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;

/// A host directory with a file of each kind.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("usr/lib")).unwrap();
    fs::create_dir(at("private")).unwrap();
    fs::set_permissions(at("private"), Permissions::from_mode(0o700)).unwrap();
    fs::write(at("usr/lib/lib.so"), "library").unwrap();
    fs::write(at("run.sh"), "#!/bin/sh").unwrap();
    fs::set_permissions(at("run.sh"), Permissions::from_mode(0o4750)).unwrap();
    fs::set_permissions(at("usr/lib/lib.so"), Permissions::from_mode(0o644)).unwrap();
    symlink("usr/lib", at("lib")).unwrap();
    symlink("/nowhere", at("dangling")).unwrap();
    folder
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.entries.keys().map(|path| path.to_str().unwrap()).collect()
}

fn file(tree: &Tree, guest: &str) -> Option<(u32, u64)> {
    match tree.get(Path::new(guest))? {
        Entry::File { permissions, len, .. } => Some((*permissions, *len)),
        _ => None,
    }
}

#[test]
fn a_folder_is_added_whole() {
    let folder = folder();
    let mut tree = Tree::default();
    tree.add(folder.path(), Path::new("/opt/test")).unwrap();
    let inside = ["dangling", "lib", "private", "run.sh", "usr", "usr/lib", "usr/lib/lib.so"];
    let want: Vec<_> = ["opt".to_owned(), "opt/test".to_owned()]
        .into_iter()
        .chain(inside.map(|name| format!("opt/test/{name}")))
        .collect();
    assert_eq!(paths(&tree), want);
    assert_eq!(file(&tree, "/opt/test/run.sh"), Some((0o4750, 9)));
    assert_eq!(tree.entries[Path::new("opt/test/private")], Entry::Directory { permissions: 0o700 });
    assert_eq!(tree.entries[Path::new("opt/test/lib")], Entry::Link { target: "usr/lib".into() });
    // A page for each of the two files.
    assert_eq!(tree.len(), 8192);
    // Through the link.
    assert_eq!(file(&tree, "/opt/test/lib/lib.so"), Some((0o644, 7)));
    assert_eq!(file(&tree, "/opt/test/usr/../lib/lib.so"), Some((0o644, 7)));
    assert_eq!(file(&tree, "/opt/test/dangling"), None);
    assert!(tree.has_name(OsStr::new("lib.so")) && !tree.has_name(OsStr::new("li.so")));
}

#[test]
fn later_files_replace_earlier_ones_and_follow_links() {
    let folder = folder();
    let new = folder.path().join("new");
    fs::write(&new, "newer").unwrap();
    let mut tree = Tree::default();
    tree.add(folder.path(), Path::new("/")).unwrap();
    let before = tree.entries.len();
    tree.add(&new, Path::new("/run.sh")).unwrap();
    tree.add(&new, Path::new("/lib/lib.so")).unwrap();
    assert_eq!(tree.entries.len(), before);
    assert_eq!(file(&tree, "/usr/lib/lib.so").unwrap().1, 5);
    // If a link itself is given, it is added as a file of that name.
    tree.add(&folder.path().join("lib/lib.so"), Path::new("/copy")).unwrap();
    assert_eq!(file(&tree, "/copy").unwrap().1, 7);
}

#[test]
fn nvmm_s_own_files_are_no_place() {
    let folder = folder();
    let host = folder.path().join("run.sh");
    let mut tree = Tree::default();
    let refusal =
        |tree: &mut Tree, host: &Path, guest: &str| tree.add(host, Path::new(guest)).unwrap_err().to_string();
    for guest in ["/init", "//init", "/./init", "/nest/vmlinuz", "/nest"] {
        assert!(refusal(&mut tree, &host, guest).contains("nvmm's own"), "{guest}");
    }
    fs::write(folder.path().join("init"), "").unwrap();
    assert!(refusal(&mut tree, folder.path(), "/").contains("/init is nvmm's own"));
    symlink("/", folder.path().join("usr/root")).unwrap();
    fs::remove_file(folder.path().join("init")).unwrap();
    tree.add(folder.path(), Path::new("/")).unwrap();
    assert!(refusal(&mut tree, &host, "/usr/root/init").contains("nvmm's own"));
}

#[test]
fn a_file_is_no_folder() {
    let folder = folder();
    let host = folder.path().join("run.sh");
    let mut tree = Tree::default();
    tree.add(&host, Path::new("/a")).unwrap();
    tree.add(folder.path(), Path::new("/b")).unwrap();
    let mut refusal = |host: &Path, guest: &str| tree.add(host, Path::new(guest)).unwrap_err().to_string();
    assert_eq!(refusal(&host, "/a/b"), "/a is no directory, and can't hold /a/b");
    assert_eq!(refusal(&host, "/b"), "/b is a directory already");
    assert_eq!(refusal(folder.path(), "/a"), "/a is a file already");
    assert!(refusal(&folder.path().join("none"), "/c").contains("No such file"));
    for (link, target) in [("one", "/two"), ("two", "one")] {
        symlink(target, folder.path().join(link)).unwrap();
    }
    tree.add(folder.path(), Path::new("/")).unwrap();
    assert_eq!(tree.get(Path::new("/one/file")), None);
    let error = tree.add(&host, Path::new("/one/file")).unwrap_err().to_string();
    assert!(error.contains("circles"), "{error}");
}

#[test]
fn the_archive_has_every_kind() {
    let folder = folder();
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    for name in ["dev", "proc"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("hidden"), "").unwrap();
    }
    let mut tree = Tree::default();
    tree.add(folder.path(), Path::new("/")).unwrap();
    let mut archive = Vec::new();
    tree.write(&mut archive).unwrap();
    let text = String::from_utf8_lossy(&archive);
    // Name and mode, as the header has it.
    for (name, mode) in [
        ("dangling", "0000a1ff"),
        ("private", "000041c0"),
        ("run.sh", "000089e8"),
        ("usr/lib/lib.so", "000081a4"),
        ("socket", "0000c"),
    ] {
        let at = text.find(&format!("{name}\0")).unwrap_or_else(|| panic!("{name}"));
        let header = &text[text[..at].rfind("070701").unwrap()..];
        assert!(header[14..].starts_with(mode), "{name}: {}", &header[14..22]);
    }
    assert!(!text.contains("hidden"));
}

#[test]
fn names_that_no_file_system_takes_are_refused() {
    let folder = folder();
    let host = folder.path().join("run.sh");
    let mut tree = Tree::default();
    let long = |len: usize| "x".repeat(len);
    tree.add(&host, Path::new(&format!("/{}/{}", long(255), long(255)))).unwrap();
    for guest in [format!("/{}", long(256)), format!("/{}/a", long(300))] {
        let refusal = tree.add(&host, Path::new(&guest)).unwrap_err().to_string();
        assert!(refusal.ends_with("and can have 255; give a shorter GUEST"), "{refusal}");
    }
    let deep =
        |len: usize| format!("/{}", long(250) + &format!("/{}", long(250)).repeat(20))[..len].to_owned();
    tree.add(&host, Path::new(&deep(4095))).unwrap();
    let refusal = tree.add(&host, Path::new(&deep(4096))).unwrap_err().to_string();
    assert!(refusal.ends_with("has 4096 bytes, and a path can have 4095; give a shorter GUEST"), "{refusal}");
    // For a directory, its contents also count.
    let inside = Path::new(&deep(4090)).join("abc");
    assert!(tree.add(folder.path(), &inside).unwrap_err().to_string().contains("a path can have 4095"));
}

#[test]
fn a_file_that_an_initramfs_can_t_hold_is_refused_before_it_is_read() {
    let folder = folder();
    let host = folder.path().join("huge");
    File::create(&host).unwrap().set_len(1 << 32).unwrap();
    let refusal = Tree::default().add(&host, Path::new("/huge")).unwrap_err().to_string();
    assert!(refusal.contains("has 4294967296 bytes"), "{refusal}");
    // A file that changes after it was examined.
    File::create(&host).unwrap().set_len(10).unwrap();
    let mut tree = Tree::default();
    tree.add(&host, Path::new("/huge")).unwrap();
    File::create(&host).unwrap().set_len(9).unwrap();
    let refusal = format!("{:#}", tree.write(io::sink()).unwrap_err());
    assert_eq!(refusal, "adding /huge: the file has become shorter");
    File::create(&host).unwrap().set_len(11).unwrap();
    tree.write(io::sink()).unwrap();
}
