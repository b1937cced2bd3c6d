use std::{fs, os::unix::fs::MetadataExt};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

const LEN: usize = 4 << 20;

/// 4 MiB of RAM at 0, the second of which has some bytes.
fn memory() -> GuestRam {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), LEN)]).unwrap();
    for (address, byte) in [(1 << 20, 1_u8), (0x10_1fff, 2), (0x1f_f800, 3), (0x1f_ffff, 4)] {
        memory.write_obj(byte, GuestAddress(address)).unwrap();
    }
    memory
}

fn bytes(memory: &GuestRam, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

fn never() -> bool {
    false
}

#[test]
fn zeros_are_holes_and_read_as_zeros() {
    let (folder, memory) = (TempDir::new().unwrap(), memory());
    let path = folder.path().join("memory");
    // In pages and across them, and with ends of zeros.
    for (address, len) in [(0, LEN), (0x10_0001, 0x1f_0000), (0x10_1ffe, 3), (0x1f_fff0, 0x20), (5, 1)] {
        MemoryFile::fill(&Taken::default(), "memsave", &path, &never, |file| {
            file.append(&memory, address, len as u64)
        })
        .unwrap();
        assert!(fs::read(&path).unwrap() == bytes(&memory, address, len), "{address:#x}, {len:#x}");
    }
    MemoryFile::fill(&Taken::default(), "memsave", &path, &never, |file| file.append(&memory, 0, LEN as u64))
        .unwrap();
    // On a file system with holes; elsewhere the file is correct, but larger.
    let used = fs::metadata(&path).unwrap().blocks() * 512;
    assert!(used < LEN as u64 / 2 || used >= LEN as u64, "{used} bytes");
}

#[test]
fn room_that_was_left_is_filled_at_the_end() {
    let (folder, memory) = (TempDir::new().unwrap(), memory());
    let path = folder.path().join("memory");
    MemoryFile::fill(&Taken::default(), "memsave", &path, &never, |file| {
        file.skip(0x1000);
        file.append(&memory, 1 << 20, 1)?;
        file.write_at(b"head", 0)
    })
    .unwrap();
    let file = fs::read(&path).unwrap();
    assert_eq!((file.len(), &file[..5], file[0x1000]), (0x1001, &b"head\0"[..], 1));
}

#[test]
fn a_failure_leaves_an_empty_file_and_says_so() {
    let (folder, memory) = (TempDir::new().unwrap(), memory());
    let path = folder.path().join("memory");
    let taken = Taken::default();
    let error = MemoryFile::fill(&taken, "pmemsave", &path, &never, |file| {
        file.append(&memory, 0x1f_0000, LEN as u64)
    });
    let told = format!("{:#}", anyhow::Error::from(error.unwrap_err()));
    let expected = format!(
        "pmemsave {}: the file was left empty: there is no RAM at the physical address 0x3f0000; RAM is 0x0 to 0x3fffff",
        path.display()
    );
    assert_eq!(told, expected);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);

    let pieces = std::cell::Cell::new(0);
    let second = || pieces.replace(pieces.get() + 1) == 1;
    let stopped =
        MemoryFile::fill(&taken, "pmemsave", &path, &second, |file| file.append(&memory, 1 << 20, 3 << 20));
    assert!(
        matches!(stopped, Err(InspectError::Emptied { source, .. }) if matches!(*source, InspectError::Stopped))
    );
    assert_eq!((pieces.get(), fs::metadata(&path).unwrap().len()), (2, 0));
}

#[test]
fn files_that_would_wait_for_a_reader_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for path in [&*path, Path::new("/dev/null"), folder.path()] {
        let refused = MemoryFile::fill(&Taken::default(), "memsave", path, &never, |_| Ok(())).unwrap_err();
        assert!(refused.to_string().contains("that is no regular file"), "{refused}");
    }
    let none = folder.path().join("none/file");
    let refused = MemoryFile::fill(&Taken::default(), "memsave", &none, &never, |_| Ok(()));
    assert!(matches!(refused, Err(InspectError::Output(_))));
}

#[test]
fn a_file_of_the_machine_is_not_written_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("kernel");
    fs::write(&path, "kernel").unwrap();
    let mut taken = Taken::default();
    taken.add("--kernel", &path);
    let refused = MemoryFile::fill(&taken, "memsave", &path, &never, |_| Ok(())).unwrap_err();
    assert!(refused.to_string().contains("that is a file of --kernel"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), b"kernel");
}
