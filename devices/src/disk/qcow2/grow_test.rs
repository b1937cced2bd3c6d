use std::fs;

use super::{super::testing::*, *};

/// Grows an image whose disk holds `twin`, and checks it.
#[track_caller]
fn grown(images: &Images, image: &str, twin: &mut Vec<u8>, size: usize) {
    grow(&images.path(image), size as u64, None).unwrap();
    twin.resize(size, 0);
    images.check(image, twin);
}

#[test]
fn added_space_is_zeros() {
    let Some(images) = Images::new() else { return };
    for options in ["compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M"] {
        images.qemu_img(&format!("create -f qcow2 -o {options} image {}", (1 << 20) + 512));
        let mut twin = vec![0; (1 << 20) + 512];
        for (value, at, len, size) in
            [(1, 0, 1000, 1 << 20), (2, 1 << 20, 512, 3 << 20), (3, 2 << 20, 77, 40 << 20)]
        {
            let size = usize::max(size, twin.len());
            images.qemu_write("image", value, at, len);
            twin[at..at + len].fill(u8::try_from(value).unwrap());
            grown(&images, "image", &mut twin, size);
        }
        // Growing to the same size has no effect.
        let len = twin.len();
        grown(&images, "image", &mut twin, len);
        fs::remove_file(images.path("image")).unwrap();
    }
}

/// The new space shows neither a larger backing file, nor data that was cut off earlier.
#[test]
fn hidden_data_stays_hidden() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 base 8M");
    images.qemu_write("base", 7, 0, 8 << 20);
    for (options, size) in [("compat=1.1", (1 << 20) + 512), ("cluster_size=4k", 3584)] {
        images.qemu_img(&format!("create -f qcow2 -b base -F qcow2 -o {options} top {size}"));
        let mut twin = vec![7; size];
        grown(&images, "top", &mut twin, 5 << 20);
        grown(&images, "top", &mut twin, 12 << 20);
        fs::remove_file(images.path("top")).unwrap();
    }
    for version in ["0.10", "1.1"] {
        images.qemu_img(&format!("create -f qcow2 -o compat={version} cut 1M"));
        images.qemu_write("cut", 9, 0, 1 << 20);
        images.qemu_img("resize -q --shrink -f qcow2 cut 66048");
        grown(&images, "cut", &mut vec![9; 66048], 1 << 20);
        fs::remove_file(images.path("cut")).unwrap();
    }
}

#[test]
fn images_that_can_not_grow_give_the_reason() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o cluster_size=512,compat=0.10 image 1M");
    let said = |image: &str, size| images.said(&grow(&images.path(image), size, None).unwrap_err());
    assert_eq!(said("image", 512), "disk image has 1048576 bytes, and 512 are less");
    assert!(said("image", 1 << 40).contains("at most 137438953472 fit"), "{}", said("image", 1 << 40));
    images.qemu_img("snapshot -c first image");
    assert!(said("image", 2 << 20).contains("qemu-img amend -o compat=1.1"), "{}", said("image", 2 << 20));
    images.qemu_img("amend -f qcow2 -o compat=1.1 image");
    grow(&images.path("image"), 2 << 20, None).unwrap();
    images.check("image", &vec![0; 2 << 20]);
    images.qemu_img("create -f qcow2 -b image -F qcow2 -o compat=0.10 top 1M");
    let said_of_top = said("top", 3 << 20);
    assert!(said_of_top.contains("whose end would show"), "{said_of_top}");
    images.qemu_img("create -f qcow2 -u -b none -F raw over 1M");
    assert!(
        images.said(&grow(&images.path("over"), 2 << 20, None).unwrap_err()).contains("none does not exist")
    );
}
