use super::*;

#[test]
fn the_archive_has_the_files_below_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        Installed { path: "bin/nvmm".to_owned(), mode: 0o755, bytes: b"program".to_vec() },
        Installed::data("share/man/man1/nvmm.1.gz", "page"),
    ];
    let repository = crate::repository();
    let make = || build(&files, repository, "2026-11-29", folder.path()).unwrap();
    let archive = make();
    let listed = run(Command::new("tar").arg("-tvzf").arg(&archive).env("TZ", "UTC")).unwrap();
    let lines: Vec<_> = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    let name = concat!("nvmm-", env!("CARGO_PKG_VERSION"));
    let line = |path: &str| {
        let path = format!("{name}/{path}");
        lines
            .iter()
            .find(|line| line.last() == Some(&path.as_str()))
            .unwrap_or_else(|| panic!("{path}: {listed}"))
    };
    assert_eq!(line("bin/nvmm")[..5], ["-rwxr-xr-x", "0/0", "7", "2026-11-29", "00:00"]);
    assert_eq!(line("share/man/man1/nvmm.1.gz")[0], "-rw-r--r--");
    line("share/doc/nvmm/LICENSE-APACHE");
    line("share/doc/nvmm/LICENSE-BSD-3-Clause");
    line("share/doc/nvmm/CHANGELOG.md");
    // The same sources give the same archive.
    let bytes = fs::read(&archive).unwrap();
    assert_eq!(fs::read(make()).unwrap(), bytes);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the archive, and nothing that it was made of"
    );
}
