use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::*;

/// A directory of images for qemu-img.
struct Images(TempDir);

impl Images {
    /// Prints that a test is skipped if there is no qemu-img, and why.
    fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self(TempDir::new().unwrap())),
            Err(error) => {
                eprintln!("skipped: qemu-img: {error}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn qemu_img(&self, words: &str) {
        let output = Command::new("qemu-img").args(words.split(' ')).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "qemu-img {words}: {said}");
    }

    fn look(&self, name: &str) -> Info {
        look(&self.path(name), &OpenOptions::default()).unwrap()
    }

    /// The error about `name`, with its causes, and without the directory's name.
    #[track_caller]
    fn wrong(&self, name: &str) -> String {
        let error = self.look(name).wrong.unwrap();
        let mut error: &dyn std::error::Error = &error;
        let mut said = error.to_string();
        while let Some(source) = error.source() {
            said = format!("{said}: {source}");
            error = source;
        }
        said.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn qcow2(link: &LinkInfo) -> &Qcow2Facts {
    match &link.details {
        Details::Qcow2(Some(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

fn vmdk(link: &LinkInfo) -> &VmdkFacts {
    match &link.details {
        Details::Vmdk(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_raw_file_is_one_link() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, [1; 1000]).unwrap();
    let info = look(&path, &OpenOptions::default()).unwrap();
    let [link] = &info.links[..] else { panic!("{info:?}") };
    assert_eq!((link.size, link.len, link.format()), (Some(1024), 1000, Format::Raw));
    assert_eq!(link.details, Details::Raw { guessed: true });
    assert!(link.allocated.is_some_and(|space| space.is_multiple_of(512)), "{link:?}");
    assert!(link.writer.is_none() && info.wrong.is_none(), "{info:?}");
    let raw = OpenOptions { format: Some(Format::Raw), ..OpenOptions::default() };
    assert_eq!(look(&path, &raw).unwrap().links[0].details, Details::Raw { guessed: false });
    assert!(look(&folder.path().join("none"), &raw).is_err());
    assert!(look(folder.path(), &raw).is_err());
}

#[test]
fn headers_of_qcow2_images() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o compat=0.10,cluster_size=4k two.qcow2 3M");
    images.qemu_img(
        "create -f qcow2 -o lazy_refcounts=on,refcount_bits=8,compression_type=zstd three.qcow2 1G",
    );
    images.qemu_img("snapshot -c first two.qcow2");
    let two = images.look("two.qcow2");
    assert!(two.wrong.is_none(), "{two:?}");
    let expected = Qcow2Facts {
        version: 2,
        size: 3 << 20,
        cluster_size: Some(4096),
        refcount_bits: Some(16),
        compression: "zlib",
        snapshots: 1,
        ..Qcow2Facts::default()
    };
    assert_eq!(qcow2(&two.links[0]), &expected);

    let three = images.look("three.qcow2");
    assert_eq!(three.links[0].size, Some(1 << 30));
    let expected = Qcow2Facts {
        version: 3,
        size: 1 << 30,
        cluster_size: Some(65536),
        refcount_bits: Some(8),
        compression: "zstd",
        features: vec!["lazy refcounts"],
        ..Qcow2Facts::default()
    };
    assert_eq!(qcow2(&three.links[0]), &expected);
    assert!(images.wrong("three.qcow2").contains("compressed by zstd"));
}

#[test]
fn a_chain_is_followed_until_it_breaks() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f raw base 2M");
    images.qemu_img("create -f qcow2 -b base -F raw middle.qcow2");
    images.qemu_img("create -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2");
    let names = || -> Vec<_> {
        let links = images.look("top.qcow2").links;
        links.iter().map(|link| link.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(), ["top.qcow2", "middle.qcow2", "base"]);
    let info = images.look("top.qcow2");
    assert!(info.wrong.is_none(), "{info:?}");
    assert_eq!(info.links[2].details, Details::Raw { guessed: false });
    assert_eq!(qcow2(&info.links[1]).backing_format, Some("raw".into()));

    fs::rename(images.path("base"), images.path("away")).unwrap();
    assert_eq!(names(), ["top.qcow2", "middle.qcow2"]);
    assert_eq!(images.wrong("top.qcow2"), "disk top.qcow2 needs others: disk base does not exist");
    fs::write(images.path("middle.qcow2"), b"nothing").unwrap();
    assert_eq!(names(), ["top.qcow2", "middle.qcow2"]);
    assert!(images.look("top.qcow2").wrong.is_some());

    fs::remove_file(images.path("middle.qcow2")).unwrap();
    images.qemu_img("create -f qcow2 -u -b top.qcow2 -F qcow2 middle.qcow2 2M");
    assert_eq!(names(), ["top.qcow2", "middle.qcow2"]);
    assert!(images.wrong("top.qcow2").ends_with("the chain never ends"), "{}", images.wrong("top.qcow2"));
}

#[test]
fn the_parts_of_vmdks() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f vmdk -o subformat=twoGbMaxExtentSparse pieces.vmdk 3G");
    images.qemu_img("create -f vmdk -o subformat=streamOptimized stream.vmdk 3M");
    images.qemu_img("create -f vmdk -o subformat=monolithicFlat flat.vmdk 3M");
    images.qemu_img("create -f vmdk -b flat.vmdk -F vmdk child.vmdk");
    let pieces = images.look("pieces.vmdk");
    assert!(pieces.wrong.is_none() && pieces.links.len() == 1, "{pieces:?}");
    assert_eq!(pieces.links[0].size, Some(3 << 30));
    let facts = vmdk(&pieces.links[0]);
    assert_eq!(facts.create_type.as_deref(), Some("twoGbMaxExtentSparse"));
    let sizes: Vec<_> = facts.extents.iter().map(|it| (it.kind, it.size, it.grain_size)).collect();
    assert_eq!(sizes, [("sparse", 2 << 30, Some(65536)), ("sparse", 1 << 30, Some(65536))]);

    let stream = images.look("stream.vmdk");
    assert!(stream.wrong.is_none() && vmdk(&stream.links[0]).extents[0].compressed, "{stream:?}");

    let child = images.look("child.vmdk");
    assert!(child.wrong.is_none(), "{child:?}");
    let [link, parent] = &child.links[..] else { panic!("{child:?}") };
    assert_eq!(vmdk(link).parent_cid, vmdk(parent).cid);
    assert_eq!(vmdk(link).parent_file, Some("flat.vmdk".into()));
    assert_eq!((vmdk(parent).extents[0].kind, parent.size), ("flat", Some(3 << 20)));
    // The descriptor and the extent.
    assert!(parent.len > 3 << 20, "{parent:?}");

    fs::remove_file(images.path("flat-flat.vmdk")).unwrap();
    let child = images.look("child.vmdk");
    assert_eq!((child.links.len(), vmdk(&child.links[1]).extents.len()), (2, 1), "{child:?}");
    assert!(images.wrong("child.vmdk").contains("flat-flat.vmdk"), "{}", images.wrong("child.vmdk"));
}

#[test]
fn an_image_in_use_is_reported_as_such() {
    let folder = TempDir::new().unwrap();
    let (path, shared) = (folder.path().join("disk"), folder.path().join("shared"));
    fs::write(&path, [1; 1024]).unwrap();
    fs::write(&shared, [1; 1024]).unwrap();
    let reader = Opened::open(&shared, &DiskOptions { read_only: true, direct: false }).unwrap();
    assert_eq!(look(&shared, &OpenOptions::default()).unwrap().links[0].writer, None);
    let writer = Opened::open(&path, &DiskOptions::default()).unwrap();
    let info = look(&path, &OpenOptions::default()).unwrap();
    let holder = info.links[0].writer.clone().unwrap();
    assert!(holder.ends_with(&format!("(pid {})", std::process::id())), "{holder}");
    assert!(info.wrong.is_none() && info.links[0].size == Some(1024), "{info:?}");
    drop((reader, writer));
}

#[test]
fn headers_that_nothing_is_known_of() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    for (bytes, version) in
        [(b"QFI\xfb".to_vec(), None), ([b"QFI\xfb\0\0\0\x07", &[0; 512][..]].concat(), Some(7))]
    {
        fs::write(&path, bytes).unwrap();
        let info = look(&path, &OpenOptions::default()).unwrap();
        let Details::Qcow2(facts) = &info.links[0].details else { panic!("{info:?}") };
        assert_eq!(facts.as_ref().map(|facts| facts.version), version);
        assert!(info.wrong.is_some() && info.links[0].size.is_none(), "{info:?}");
    }
    fs::write(&path, "# Disk DescriptorFile\nCID=1\ncreateType=\"seSparse\"").unwrap();
    let info = look(&path, &OpenOptions::default()).unwrap();
    assert!(info.wrong.is_some() && info.links.len() == 1, "{info:?}");
}
