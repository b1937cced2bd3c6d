use super::*;

#[test]
fn a_file_in_the_root_has_a_name_there_and_others_have_none() {
    let root = Path::new("/srv/vm");
    assert_eq!(below(root, Path::new("/srv/vm/run/qmp")), Some("/run/qmp".into()));
    assert_eq!(below(root, Path::new("/run/qmp")), None);
    assert_eq!(below(root, Path::new("/srv/vm2/qmp")), None);
    assert_eq!(below(Path::new("/"), Path::new("/run/qmp")), Some("/run/qmp".into()));
}

#[test]
fn a_link_is_not_followed_but_its_folder_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("it is there");
    std::fs::create_dir(real.join("there")).expect("a folder");
    std::os::unix::fs::symlink("there", real.join("by")).expect("a link");
    std::os::unix::fs::symlink("nowhere", real.join("there/link")).expect("a link");
    assert_eq!(canonical(&real.join("by/link")), real.join("there/link"));
    assert_eq!(
        canonical(Path::new("name")),
        std::env::current_dir().expect("a folder").canonicalize().expect("it is there").join("name")
    );
}
