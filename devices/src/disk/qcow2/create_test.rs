use std::os::unix::fs::symlink;

use super::{
    super::{
        super::{Disk, image::OpenOptions as DiskOpenOptions},
        Qcow2Options,
        testing::*,
    },
    *,
};

/// QEMU accepts the images, with all cluster sizes.
#[test]
fn makes_what_qemu_img_reads() {
    let Some(images) = Images::new() else { return };
    for bits in 9..=21 {
        for size in [512, (1 << 20) + 512, 5 << 30] {
            // QEMU accepts a level 1 table of 32 MiB, and one for 5 GiB with the smallest clusters is too large.
            if bits == 9 && size == 5 << 30 {
                continue;
            }
            let options = CreateOptions { cluster_size: 1 << bits, ..CreateOptions::default() };
            create(&images.path("image"), size, &options).unwrap();
            let said = images.qemu_img("check -f qcow2 image");
            assert!(said.contains("No errors were found"), "{said}");
            let info = images.qemu_img("info -f qcow2 --output=json image");
            for part in [format!(r#""virtual-size": {size}"#), format!(r#""cluster-size": {}"#, 1 << bits)] {
                assert!(info.contains(&part), "{part}: {info}");
            }
            if size < 1 << 30 {
                let disk = images.open("image", &Qcow2Options::default());
                let mut twin = vec![0; usize::try_from(size).unwrap()];
                assert_reads(&disk, &twin);
                write_at_random(&disk, &mut twin, bits);
                drop(disk);
                images.check("image", &twin);
            }
            fs::remove_file(images.path("image")).unwrap();
        }
    }
}

#[test]
fn images_that_can_not_be_created_give_the_reason() {
    let Some(images) = Images::new() else { return };
    let path = images.path("image");
    let refused = |size, options: CreateOptions| {
        let said = images.said(&create(&path, size, &options).unwrap_err());
        assert!(!path.exists());
        said
    };
    let clusters = |cluster_size| CreateOptions { cluster_size, ..CreateOptions::default() };
    for size in [0, 511, (1 << 30) + 1] {
        assert!(refused(size, CreateOptions::default()).contains("give it a multiple of 512"));
    }
    for size in [0, 256, 65535, 4 << 20] {
        assert!(refused(1 << 20, clusters(size)).contains("give it a power of two"));
    }
    let said = refused((128 << 30) + 512, clusters(512));
    assert!(said.contains("at most 137438953472 fit"), "{said}");
    let said = refused(u64::MAX - 511, CreateOptions::default());
    assert!(said.contains("is too large for clusters of 65536 bytes"), "{said}");
    for len in [0, 1024] {
        let backing = Some(("x".repeat(len).into(), Format::Raw));
        let said = refused(1 << 20, CreateOptions { backing, ..CreateOptions::default() });
        assert!(said.contains("1 to 1023 bytes"), "{said}");
    }
}

#[test]
fn existing_files_are_kept() {
    let Some(images) = Images::new() else { return };
    let path = images.path("image");
    fs::write(&path, [7; 4096]).unwrap();
    symlink("nowhere", images.path("link")).unwrap();
    let default = CreateOptions::default();
    for name in ["image", "link"] {
        let said = images.said(&create(&images.path(name), 1 << 20, &default).unwrap_err());
        assert_eq!(said, format!("{name} exists, and is not overwritten"));
    }
    assert!(!images.path("nowhere").exists());
    assert_eq!(fs::read(&path).unwrap(), [7; 4096]);

    let overwrite = CreateOptions { overwrite: true, ..default };
    let used = images.disk("image", &DiskOpenOptions::default());
    let said = images.said(&create(&path, 1 << 20, &overwrite).unwrap_err());
    assert!(said.starts_with("image is in use by"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), [7; 4096]);
    drop(used);
    create(&path, 1 << 20, &overwrite).unwrap();
    assert_eq!(images.open("image", &Qcow2Options::default()).size(), 1 << 20);
}
