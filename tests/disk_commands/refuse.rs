//! Refusals of `nvmm disk`.

use std::fs;

use tempfile::TempDir;

use crate::images::{Images, MIB};

#[test]
fn existing_files_are_not_replaced_by_accident() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 20 * MIB);
    fs::write(images.path("copy"), "old").unwrap();
    images.refused("convert disk copy", 1, &["copy is there already", "--force"]);
    assert_eq!(fs::read(images.path("copy")).unwrap(), b"old");
    images.prints("convert --force disk copy");
    assert!(fs::read(images.path("copy")).unwrap() == fs::read(images.path("disk")).unwrap());
    images.refused("convert --force disk disk", 1, &["disk is what the copy is made from"]);
    images.refused("convert --force disk .", 1, &["is no file"]);
    images.refused("convert disk nowhere/copy", 1, &["no file can be made in nowhere: No such file"]);
}

#[test]
fn wrong_words() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 20 * MIB);
    images.refused("convert disk copy.qcow2", 2, &["copy.qcow2 is named as a qcow2 image", "-O qcow2"]);
    images.refused("convert none copy", 1, &["disk none does not exist"]);
    images.refused("convert -f qcow2 disk copy", 1, &["doesn't begin as qcow2 images do"]);
    images.refused("convert -f vmdk disk copy", 1, &["is not a vmdk"]);
    for words in [
        "",
        "info",
        "convert disk",
        "convert -O vmdk disk copy",
        "convert -p -q disk copy",
        "info -f vdi disk",
    ] {
        let output = images.disk(words);
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{words}");
    }
    assert_eq!(images.names(), ["disk"]);
}
