//! The disks of a restored machine, which are not part of its snapshot.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, symlink},
    path::Path,
};

use crate::{
    control::Machine,
    saved::{GUEST, Saved, ask, path},
    support::{no_kvm, nvmm},
};

fn image(folder: &Path, name: &str, mebibytes: u64) {
    File::create(folder.join(name)).unwrap().set_len(mebibytes << 20).unwrap();
}

#[test]
fn a_disk_as_it_was_is_taken_and_a_changed_one_is_refused_by_name() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), "a.raw", 1);
    let disk = format!("path={},format=raw,id=data", folder.path().join("a.raw").display());
    let saved = Saved::new(&["--disk", &disk]);
    let mut machine = saved.restore(&[]);
    assert_eq!(machine.ask(), "same");
    machine.quit();
    let file = File::options().write(true).open(folder.path().join("a.raw")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    let said = saved.refusal(1, &[]);
    assert!(
        said.contains("disk data: ") && said.contains("a.raw has changed since the machine was saved"),
        "{said}"
    );
    // So is the same file by another name.
    symlink(folder.path().join("a.raw"), folder.path().join("link.raw")).unwrap();
    for name in [
        folder.path().join("../").join(folder.path().file_name().unwrap()).join("a.raw"),
        folder.path().join("link.raw"),
    ] {
        let said = saved.refusal(1, &["--disk", &format!("id=data,path={},format=raw", name.display())]);
        assert!(said.contains(" has changed since the machine was saved"), "{said}");
    }
    // For a copy that the user names, only the size is checked.
    image(folder.path(), "copy.raw", 1);
    image(folder.path(), "large.raw", 2);
    let place = |name: &str| format!("id=data,path={},format=raw", folder.path().join(name).display());
    let mut machine = saved.restore(&["--disk", &place("copy.raw")]);
    assert_eq!(machine.ask(), "same");
    machine.quit();
    let said = saved.refusal(1, &["--disk", &place("large.raw")]);
    assert!(said.contains("disk data: it had 1048576 bytes, and has 2097152 bytes"), "{said}");
    fs::remove_file(folder.path().join("a.raw")).unwrap();
    assert!(saved.refusal(1, &[]).contains("a.raw"));
}

#[test]
fn clones_have_their_own_overlays() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), "a.raw", 1);
    let overlay = folder.path().join("a.qcow2");
    let disk = format!(
        "path={},format=raw,id=data,overlay={}",
        folder.path().join("a.raw").display(),
        overlay.display()
    );
    let saved = Saved::new(&["--disk", &disk]);
    let place = format!("id=data,path={},format=qcow2,overlay=temp", overlay.display());
    let mut clones: Vec<_> =
        (0..3).map(|_| saved.restore(&["--disk", &place, "--restore-memory", "map"])).collect();
    for clone in &mut clones {
        assert_eq!(clone.ask(), "same");
    }
    clones.into_iter().for_each(crate::saved::Restored::quit);
    // None of the attempts has changed it.
    let mut machine = saved.restore(&[]);
    assert_eq!(machine.ask(), "same");
    machine.quit();
}

#[test]
fn a_disk_that_is_gone_at_the_end_is_no_disk_of_a_snapshot() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), "a.raw", 1);
    let disk = format!("path={},format=raw,id=data,overlay=temp", folder.path().join("a.raw").display());
    let mut machine = Machine::start(GUEST, &["--disk", &disk]);
    machine.prints("ready\n");
    let output = machine.ctl(&["snapshot", path(&machine, "snap").to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("disk data: what the guest wrote is gone at nvmm's end"), "{said}");
    assert!(!path(&machine, "snap").exists());
    assert_eq!(ask(&mut machine.nvmm), "same");
}

#[test]
fn files_that_are_read_again_must_be_the_same() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credential");
    fs::write(&file, "secret").unwrap();
    let given = format!("opt/test,file={}", file.display());
    let saved = Saved::new(&["--fw-cfg", &given]);
    let mut machine = saved.restore(&[]);
    assert_eq!(machine.ask(), "same");
    machine.quit();
    fs::write(&file, "another").unwrap();
    let said = saved.refusal(1, &[]);
    assert!(
        said.contains("--fw-cfg") && said.contains("the file has changed since the machine was saved"),
        "{said}"
    );
}

#[test]
fn missing_snapshots_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let output = nvmm().arg("--restore").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("that is no snapshot: it has no machine.json"), "{said}");
    let refusal = |path: &Path| {
        let output = nvmm().arg("--restore").arg(path).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refusal(&folder.path().join("nope"));
    assert!(said.ends_with("/nope: there is no such directory\n"), "{said}");
    fs::write(folder.path().join("file"), "").unwrap();
    let said = refusal(&folder.path().join("file"));
    assert!(said.ends_with("/file: that is no snapshot, which is a directory\n"), "{said}");
    let output = nvmm().args(["--kernel", "k", "--restore-memory", "map"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
