use std::os::unix::fs::FileExt;

use super::{
    super::{
        super::{Disk, image::OpenOptions, info::look},
        Overlay,
        testing::*,
    },
    *,
};

/// Changes the header of an image.
fn put(path: &Path, at: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// Images are read as by qemu-img, in every way of reading, without being changed.
#[test]
fn images_unfit_for_writing_are_read() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f qcow2 -o lazy_refcounts=on image 1M");
    images.qemu_write("image", 7, 0, 4096);
    images.qemu_write("image", 9, (1 << 20) - 1024, 512);
    for (what, at, bytes, size) in [
        ("dirty", 79, &[1][..], 1 << 20),
        ("corrupt", 79, &[2], 1 << 20),
        ("both", 79, &[3], 1 << 20),
        ("odd", 24, &((1_u64 << 20) - 100).to_be_bytes(), (1 << 20) - 512),
    ] {
        fs::copy(images.path("image"), images.path(what)).unwrap();
        put(&images.path(what), at, bytes);
        let before = fs::read(images.path(what)).unwrap();
        let said = images.refusal(what, &Qcow2Options::default());
        assert!(said.contains(if what == "odd" { "whole sectors" } else { "readonly=on" }), "{said}");

        let expected = images.raw(what);
        assert_eq!(expected.len() as u64, size, "{what}");
        let all = |disk: &dyn Disk| read(disk, 0, usize::try_from(disk.size()).unwrap()).unwrap();
        for direct in [false, true] {
            let options = Qcow2Options { disk: DiskOptions { read_only: true, direct }, backing_root: None };
            assert!(all(&images.open(what, &options)) == expected, "{what}");
        }
        let overlay = OpenOptions { overlay: Some(Overlay::Temp), ..OpenOptions::default() };
        assert!(all(&*images.disk(what, &overlay)) == expected, "{what}");
        images.qemu_img(&format!("create -q -u -f qcow2 -b {what} -F qcow2 top {size}"));
        let top = images.open("top", &Qcow2Options::default());
        assert!(all(&top) == expected, "{what}");
        write(&top, 512, &[5; 512]).unwrap();
        drop(top);
        assert!(fs::read(images.path(what)).unwrap() == before, "{what}");
        assert!(look(&images.path(what), &OpenOptions::default()).unwrap().wrong.is_none());
    }
}
