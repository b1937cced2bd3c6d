use std::{os::unix::fs::symlink, sync::Arc};

use super::{
    super::{
        super::{
            Disk,
            image::{self, OpenOptions},
        },
        testing::*,
    },
    *,
};

const LEN: usize = (3 << 20) + 1536;

/// Each format by QEMU's name, and the way to make such an image from the raw one called `in`.
const BASES: [(&str, &str); 5] = [
    ("raw", "-O raw"),
    ("qcow2", "-O qcow2 -c"),
    ("vmdk", "-O vmdk -o subformat=monolithicSparse"),
    ("vmdk", "-O vmdk -o subformat=twoGbMaxExtentFlat"),
    ("vmdk", "-O vmdk -o subformat=streamOptimized"),
];

fn over(overlay: Overlay) -> OpenOptions {
    OpenOptions { overlay: Some(overlay), ..OpenOptions::default() }
}

impl Images {
    fn bases(&self) -> Vec<u8> {
        let before = contents(LEN);
        fs::write(self.path("in"), &before).unwrap();
        before
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn over(&self, base: &str, overlay: &str) -> Arc<dyn Disk> {
        self.disk(base, &over(Overlay::File(self.path(overlay))))
    }

    fn refused(&self, base: &str, options: &OpenOptions) -> String {
        self.said(&image::open(&self.path(base), options).unwrap_err())
    }
}

/// Written data exists as long as the disk is open, and then it is gone.
#[test]
fn a_temporary_overlay_leaves_nothing() {
    let Some(images) = Images::new() else { return };
    let before = images.bases();
    for (number, (_, how)) in (0_u8..).zip(BASES) {
        images.qemu_img(&format!("convert -t unsafe -f raw {how} in base"));
        let (names, file) = (images.names(), fs::read(images.path("base")).unwrap());
        let disk = images.disk("base", &over(Overlay::Temp));
        // Any number of overlays share a base.
        let other = images.disk("base", &over(Overlay::Temp));
        assert!(!disk.is_read_only());
        assert_reads(&*disk, &before);
        let mut twin = before.clone();
        write_at_random(&*disk, &mut twin, number);
        disk.flush().unwrap();
        assert_reads(&*disk, &twin);
        assert_reads(&*other, &before);
        drop((disk, other));
        assert_reads(&*images.disk("base", &over(Overlay::Temp)), &before);
        assert_eq!(images.names(), names);
        assert!(fs::read(images.path("base")).unwrap() == file, "{how}");
        images.names().iter().filter(|name| *name != "in").for_each(|name| {
            fs::remove_file(images.path(name)).unwrap();
        });
    }
}

/// The overlay is a normal image, which QEMU can check, commit and rebase.
#[test]
fn a_kept_overlay_is_qemus_too() {
    let Some(images) = Images::new() else { return };
    let before = images.bases();
    for (number, (format, how)) in (0_u8..).zip(BASES) {
        images.qemu_img(&format!("convert -t unsafe -f raw {how} in base"));
        let file = fs::read(images.path("base")).unwrap();
        let mut twin = before.clone();
        for reopened in 0..2 {
            let disk = images.over("base", "overlay");
            assert_reads(&*disk, &twin);
            write_at_random(&*disk, &mut twin, number * 2 + reopened);
            drop(disk);
            images.check("overlay", &twin);
        }
        let info = images.qemu_img("info -f qcow2 overlay");
        assert!(
            info.contains("backing file: base") && info.contains(&format!("backing file format: {format}"))
        );
        assert!(fs::read(images.path("base")).unwrap() == file, "{how}");

        // Also as a standalone disk.
        assert_reads(&*images.disk("overlay", &OpenOptions::default()), &twin);
        fs::copy(images.path("overlay"), images.path("whole")).unwrap();
        images.qemu_img(&format!("rebase -f qcow2 -b base -F {format} whole"));
        images.check("whole", &twin);
        // QEMU doesn't write other vmdks either.
        if matches!(how, "-O raw" | "-O qcow2 -c") {
            images.qemu_img("commit -f qcow2 overlay");
            assert_reads(&*images.disk("base", &OpenOptions::default()), &twin);
            assert_reads(&*images.over("base", "overlay"), &twin);
        }
        images.names().iter().filter(|name| *name != "in").for_each(|name| {
            fs::remove_file(images.path(name)).unwrap();
        });
    }
}

#[test]
fn a_base_is_named_so_that_both_can_be_moved() {
    let Some(images) = Images::new() else { return };
    for folder in ["a", "a/b", "c"] {
        fs::create_dir(images.path(folder)).unwrap();
    }
    fs::write(images.path("a/b/da:ta"), [1; 4096]).unwrap();
    symlink("b", images.path("a/link")).unwrap();
    let folder = fs::canonicalize(images.0.path()).unwrap().display().to_string();
    for (base, overlay, name) in [
        ("a/b/da:ta", "a/b/one", "./da:ta"),
        ("a/link/da:ta", "a/two", "./b/da:ta"),
        ("a/b/da:ta", "c/three", &format!("{folder}/a/b/da:ta")),
    ] {
        drop(images.over(base, overlay));
        let info = images.qemu_img(&format!("info -f qcow2 --output=json {overlay}"));
        assert!(info.contains(&format!(r#""backing-filename": "{name}""#)), "{info}");
        // If it is above its directory or elsewhere, the user has named it.
        images.over(base, overlay);
    }
    fs::rename(images.path("a"), images.path("d")).unwrap();
    images.over("d/b/da:ta", "d/two");
}

/// An existing file is not overwritten, nor used for another disk.
#[test]
fn files_other_than_overlays_of_the_disk_are_refused() {
    let Some(images) = Images::new() else { return };
    for base in ["base", "other"] {
        images.qemu_img(&format!("create -f qcow2 {base} 1M"));
    }
    fs::copy(images.path("base"), images.path("copy")).unwrap();
    fs::write(images.path("file"), [7; 4096]).unwrap();
    images.qemu_img("create -f qcow2 -F qcow2 -b base overlay");
    images.qemu_img("create -f qcow2 -F raw -b base as-raw");
    images.qemu_img("create -u -f qcow2 -F qcow2 -b gone dangling 1M");
    let files = images.names();
    let before: Vec<_> = files.iter().map(|name| fs::read(images.path(name)).unwrap()).collect();
    for (base, overlay, expected) in [
        (
            "base",
            "other",
            "other is a standalone image, not an overlay, and was not overwritten; name another file",
        ),
        ("base", "file", "disk file: the file doesn't begin as qcow2 images do"),
        ("copy", "overlay", "overlay overlay is one of base, not of copy; name another file"),
        ("base", "dangling", "overlay dangling is one of gone, not of base"),
        ("base", "as-raw", "overlay as-raw takes base for raw, but it is opened as qcow2; add format=raw"),
        ("base", "base", "disk base is in use by"),
        ("missing", "new", "disk missing does not exist"),
        ("base", "no-such-folder/new", "No such file"),
    ] {
        let said = images.refused(base, &over(Overlay::File(images.path(overlay))));
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(images.names(), files);
    for (name, before) in files.iter().zip(before) {
        assert!(fs::read(images.path(name)).unwrap() == before, "{name}");
    }
    let raw = OpenOptions { format: Some(Format::Raw), ..over(Overlay::File(images.path("as-raw"))) };
    assert_ne!(images.disk("base", &raw).size(), 1 << 20);
    assert_eq!(images.over("base", "overlay").size(), 1 << 20);
}

/// A disk that can't be opened leaves no files behind, except those that existed.
#[test]
fn an_overlay_made_in_vain_goes_again() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("base"), [7; 4096]).unwrap();
    let (base, path) = (images.path("base"), images.path("overlay"));
    let open = |fails| {
        let disk = Qcow2Options::default();
        let overlay =
            OpenOverlay::open(&Overlay::File(path.clone()), &base, Format::Raw, 4096, &disk).unwrap();
        let done = overlay.open_by(|parts| {
            assert!(parts.path.exists());
            if fails { Err(Qcow2Error::NoOverlay { path: parts.path }) } else { Ok(()) }
        });
        assert_eq!(done.is_err(), fails);
    };
    open(true);
    assert_eq!(images.names(), ["base"]);
    open(false);
    open(true);
    assert_eq!(images.names(), ["base", "overlay"]);
}

/// The disk below is only read: it need not be writable, and can be below several overlays.
#[test]
fn a_base_is_only_read() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("base"), [7; 4096]).unwrap();
    let reader = images.disk("base", &OpenOptions { disk: READ_ONLY.disk, ..OpenOptions::default() });
    let one = images.over("base", "one");
    let two = images.over("base", "two");
    assert!(images.refused("base", &OpenOptions::default()).contains("disk base is in use by"));
    assert!(
        images.refused("base", &over(Overlay::File(images.path("one")))).contains("disk one is in use by")
    );
    drop((reader, one, two));
    let writer = images.disk("base", &OpenOptions::default());
    assert!(images.refused("base", &over(Overlay::Temp)).contains("disk base is in use by"));
    drop(writer);

    let options = OpenOptions { disk: READ_ONLY.disk, ..over(Overlay::File(images.path("one"))) };
    let disk = images.disk("base", &options);
    assert!(disk.is_read_only());
    assert!(write(&*disk, 0, &[1; 512]).is_err());
    assert_reads(&*disk, &[7; 4096]);
}

/// The same on a file system that doesn't support unnamed files.
#[test]
fn an_unnamed_file_has_no_name() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = unnamed_file(folder.path()).unwrap();
    file.set_len(10).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(unnamed_file(&folder.path().join("gone")).is_err());
}
