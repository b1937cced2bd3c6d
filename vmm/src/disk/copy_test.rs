use std::{
    convert::Infallible,
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    sync::Arc,
};

use devices::disk::{
    format::Format,
    image::{self, OpenOptions},
};
use tempfile::NamedTempFile;

use super::*;

fn open(file: &NamedTempFile) -> Arc<dyn Disk> {
    image::open(file.path(), &OpenOptions { format: Some(Format::Raw), ..OpenOptions::default() })
        .unwrap()
        .disk
}

/// A file of `len` bytes, with data in the given places, and holes everywhere else.
fn file(len: u64, data: &[(u64, &[u8])]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(len).unwrap();
    for (offset, bytes) in data {
        file.as_file().write_all_at(bytes, *offset).unwrap();
    }
    file
}

/// Copies a file, and returns the copy and the progress reports.
fn copied(from: &NamedTempFile) -> (NamedTempFile, Vec<(u64, u64)>) {
    let from = open(from);
    let to = file(from.size(), &[]);
    let mut told = Vec::new();
    copy::<Infallible>(&*from, &*open(&to), |done, copied| {
        told.push((done, copied));
        Ok(())
    })
    .unwrap();
    (to, told)
}

#[test]
fn data_is_copied_and_zeros_are_not_written() {
    const MIB: u64 = 1 << 20;
    let some = vec![0xa5; 100_000];
    let zeros = vec![0; 4 << 20];
    let places =
        [(0, &some[..1]), (3 * MIB, &zeros[..]), (10 * MIB + 5, &some[..]), (33 * MIB - 1, &some[..1])];
    let from = file(40 * MIB, &places);
    let (to, told) = copied(&from);
    assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    let space = to.as_file().metadata().unwrap().blocks() * 512;
    assert!(space <= 5 * GRANULE, "{space}");
    assert_eq!(told.last().map(|(done, _)| *done), Some(40 * MIB));
    assert!(told.is_sorted(), "{told:?}");
}

#[test]
fn sizes_need_be_no_multiple_of_anything() {
    for len in [1, 512, 65_535, 65_537, (2 << 20) + 1, (4 << 20) - 1] {
        for data in [0, len / 2, len - 1] {
            let from = file(len, &[(data, &[1])]);
            let (to, _) = copied(&from);
            let mut expected = fs::read(&from).unwrap();
            expected.resize(expected.len().next_multiple_of(512), 0);
            assert!(expected == fs::read(&to).unwrap(), "{len} bytes with one at {data}");
        }
        let (to, told) = copied(&file(len, &[]));
        assert_eq!((to.as_file().metadata().unwrap().blocks(), told.len()), (0, 1), "{len}");
    }
}

#[test]
fn a_watcher_can_end_it() {
    let from = file(8 << 20, &[(0, &[1; 3 << 20])]);
    let to = file(8 << 20, &[]);
    let ended =
        copy(&*open(&from), &*open(&to), |done, _| if done >= PIECE { Err("enough") } else { Ok(()) });
    assert!(matches!(ended, Err(CopyError::Watcher("enough"))), "{ended:?}");
    let held = fs::read(&to).unwrap();
    assert!(held[..2 << 20] == [1; 2 << 20] && held[2 << 20..].iter().all(|&byte| byte == 0));
}

#[test]
fn errors_name_the_place_of_the_failure() {
    let (from, to) = (file(1 << 20, &[(0, &[1; 1 << 20])]), file(1 << 20, &[]));
    let (from_disk, to_disk) = (open(&from), open(&to));
    from.as_file().set_len(1000).unwrap();
    let ended = copy::<Infallible>(&*from_disk, &*to_disk, |_, _| Ok(()));
    assert!(matches!(ended, Err(CopyError::Read(0, _))), "{ended:?}");
    let read_only = OpenOptions {
        disk: devices::disk::raw::DiskOptions { read_only: true, direct: false },
        ..OpenOptions::default()
    };
    let from = file(1 << 20, &[(600_000, &[1; 100])]);
    let to_disk = image::open(file(1 << 20, &[]).path(), &read_only).unwrap().disk;
    let ended = copy::<Infallible>(&*open(&from), &*to_disk, |_, _| Ok(()));
    assert!(matches!(ended, Err(CopyError::Write(589_824, _))), "{ended:?}");
}
