use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn a_piece_belongs_to_the_descriptor_beside_it() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a disk.vmdk"), "# Disk DescriptorFile\nversion=1\n").unwrap();
    for piece in ["a disk-flat.vmdk", "a disk-s001.vmdk", "a disk-f012.vmdk", "a disk-delta.vmdk"] {
        assert_eq!(descriptor_of(&path(piece)), Some(path("a disk.vmdk")), "{piece}");
    }
    for other in
        ["a disk.vmdk", "b-flat.vmdk", "a disk-s01.vmdk", "a disk-sxyz.vmdk", "a disk-flat", "-flat.vmdk", ""]
    {
        assert_eq!(descriptor_of(&path(other)), None, "{other}");
    }
    // A file of that name without a descriptor.
    fs::write(path("a disk.vmdk"), [0; 512]).unwrap();
    assert_eq!(descriptor_of(&path("a disk-flat.vmdk")), None);
}
