use tempfile::TempDir;

use super::*;

#[test]
fn abandoned_drafts_are_removed() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".a.nvmm-left", ".a.nvmm-used", ".b.nvmm-left", "a", ".a"] {
        fs::write(at(name), "x").unwrap();
    }
    fs::create_dir(at(".a.nvmm-folder")).unwrap();
    fs::write(at(".a.nvmm-folder/file"), "x").unwrap();
    std::os::unix::fs::symlink(at("a"), at(".a.nvmm-link")).unwrap();
    let used = File::open(at(".a.nvmm-used")).unwrap();
    lock(&used).unwrap();
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    remove_left(folder.path(), &prefix(OsStr::new("a")));
    assert_eq!(names(), [".a", ".a.nvmm-link", ".a.nvmm-used", ".b.nvmm-left", "a"]);
    drop(used);
    remove_left(folder.path(), &prefix(OsStr::new("a")));
    assert_eq!(names(), [".a", ".a.nvmm-link", ".b.nvmm-left", "a"]);
    // A directory that can't be read is skipped.
    remove_left(&at("missing"), &prefix(OsStr::new("a")));
}
