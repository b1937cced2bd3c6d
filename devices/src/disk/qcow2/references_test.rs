use std::{path::Path, process::Command};

use proptest::test_runner::{RngAlgorithm, TestRng};

use super::{
    super::{
        super::{Disk, raw::DiskOptions},
        Qcow2Options,
        testing::{Images, sectors, write},
    },
    *,
};

/// How images differ in what of them is written when.
const CREATE: [(&str, usize); 5] = [
    ("cluster_size=512,refcount_bits=64", 8 << 20),
    ("cluster_size=512", 8 << 20),
    ("cluster_size=4k,refcount_bits=1", 64 << 20),
    ("cluster_size=4k,compat=0.10", 64 << 20),
    ("cluster_size=64k", 4 << 30),
];

/// What qemu-img finds wrong with an image, besides leaks.
fn errors(image: &Path) -> Option<String> {
    let output = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(image).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (!matches!(output.status.code(), Some(0 | 3))).then(|| said.into_owned())
}

#[test]
fn an_image_is_sound_between_any_two_writes() {
    let Some(images) = Images::new() else { return };
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]);
    for (options, size) in CREATE {
        images.qemu_img(&format!("create -q -f qcow2 -o {options} image {size}"));
        for direct in [false, true] {
            let disk = DiskOptions { read_only: false, direct };
            let disk = images.open("image", &Qcow2Options { disk, backing_root: None });
            for number in 0..12 {
                let (offset, len) = sectors(&mut random, size, 200);
                write(&disk, offset, &vec![1; len]).unwrap();
                // As a kill would leave it.
                let copy = images.path("copy");
                Command::new("cp")
                    .arg("--sparse=always")
                    .arg(images.path("image"))
                    .arg(&copy)
                    .status()
                    .unwrap();
                assert_eq!(errors(&copy), None, "{options}, direct={direct}, write {number}");
                if number % 5 == 4 {
                    disk.flush().unwrap();
                }
            }
            drop(disk);
            assert_eq!(errors(&images.path("image")), None, "{options}, direct={direct}");
        }
    }
}

/// An image of 4 KiB clusters, whose eighth one is free.
fn image() -> Option<(Images, References, Tables)> {
    let images = Images::new()?;
    images.qemu_img("create -q -f qcow2 -o cluster_size=4k image 16M");
    let open = File::options().read(true).write(true).open(images.path("image"));
    let references = References::new(open.unwrap()).unwrap();
    let tables = references.lock().tables.clone();
    Some((images, references, tables))
}

const CLUSTER: u64 = 7 << 12;

fn refcount(references: &References) -> u64 {
    let (entry, index) = references.lock().tables.refcount_of(CLUSTER);
    let block = references.entry(entry, &[], 0).unwrap();
    let mut bytes = [0; 2];
    read_at(&references.file, &mut bytes, block + 2 * index).unwrap();
    u16::from_be_bytes(bytes).into()
}

fn write_entry(references: &References, at: u64, works: bool) -> io::Result<()> {
    let entry = (CLUSTER | 1 << 63).to_be_bytes().to_vec();
    references.write((&entry).into(), at, 512, |buffers| match works {
        true => references.file.write_all_at(buffers.try_into_owned(1)?.as_ref().into_slice(), at),
        false => Err(ErrorKind::StorageFull.into()),
    })
}

#[test]
fn a_cluster_is_in_use_before_anything_refers_to_it() {
    let Some((_images, references, tables)) = image() else { return };
    assert_eq!(refcount(&references), 0);
    let entry = (CLUSTER | 1 << 63).to_be_bytes().to_vec();
    let refcounts = |_: IoVector<'_>| {
        let state = references.state.try_read();
        assert!(state.is_err(), "nobody else writes");
        Ok(())
    };
    references.write((&entry).into(), tables.l1.start, 1, refcounts).unwrap();
    assert_eq!(refcount(&references), 1);
}

#[test]
fn what_imago_wrote_before_takes_nothing_back() {
    let Some((_images, references, tables)) = image() else { return };
    let (entry, index) = tables.refcount_of(CLUSTER);
    let block = references.entry(entry, &[], 0).unwrap();
    let mut before = vec![0; 4096];
    read_at(&references.file, &mut before, block).unwrap();
    write_entry(&references, tables.l1.start, true).unwrap();
    let write_block = |bytes: &Vec<u8>| {
        references.write(bytes.into(), block, 512, |buffers| {
            references.file.write_all_at(buffers.try_into_owned(1)?.as_ref().into_slice(), block)
        })
    };
    write_block(&before).unwrap();
    assert_eq!(refcount(&references), 1);
    let mut after = before.clone();
    after[2 * usize::try_from(index).unwrap() + 1] = 1;
    write_block(&after).unwrap();
    write_block(&before).unwrap();
    assert_eq!(refcount(&references), 0, "imago knew it, and then gave it back");
}

#[test]
fn what_can_not_be_entered_is_entered_later() {
    let Some((_images, references, tables)) = image() else { return };
    let entry = || references.entry(tables.l1.start, &[], 0).unwrap();
    write_entry(&references, tables.l1.start, false).unwrap_err();
    assert_eq!(entry(), 0);
    references.settle().unwrap();
    assert_eq!((entry(), refcount(&references)), (CLUSTER, 1));

    write_entry(&references, tables.l1.start + 8, false).unwrap_err();
    let data = vec![0; 512];
    references
        .write((&data).into(), 1 << 20, 512, |_| {
            assert_eq!(references.entry(tables.l1.start + 8, &[], 0).unwrap(), CLUSTER);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_owed_holds_up_flushes_and_what_needs_it() {
    let Some((images, _, tables)) = image() else { return };
    let references = References::new(File::open(images.path("image")).unwrap()).unwrap();
    let data = || references.write((&vec![0; 512]).into(), 1 << 20, 512, |_| Ok(()));
    write_entry(&references, tables.l1.start, true).unwrap_err();
    references.settle().unwrap_err();
    data().unwrap();
    // A block whose own refcount is there.
    let entry = tables.refcounts.start.to_be_bytes().to_vec();
    let full = |_: IoVector<'_>| Err(ErrorKind::StorageFull.into());
    references.write((&entry).into(), tables.refcounts.start + 8, 512, full).unwrap_err();
    data().unwrap_err();
}

#[test]
fn a_cluster_without_a_refcount_block_is_not_referred_to() {
    let Some((_images, references, tables)) = image() else { return };
    let entry = (1_u64 << 40).to_be_bytes().to_vec();
    let error = references.write((&entry).into(), tables.l1.start, 1, |_| panic!("written")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cluster at 0x10000000000 is referred to, but there is no refcount block for it"
    );
}
