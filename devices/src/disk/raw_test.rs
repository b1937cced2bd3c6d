use std::{
    error::Error,
    fs,
    io::Write,
    os::unix::{
        fs::{FileExt, MetadataExt},
        net::UnixListener,
    },
};

use tempfile::{NamedTempFile, TempDir};

use super::*;

const WRITABLE: DiskOptions = DiskOptions { read_only: false, direct: false };
const READ_ONLY: DiskOptions = DiskOptions { read_only: true, direct: false };
const DIRECT: DiskOptions = DiskOptions { read_only: false, direct: true };

fn image(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 253).unwrap()).collect()
}

fn read(disk: &RawDisk, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    disk.read_at(&[VolatileSlice::from(bytes.as_mut_slice())], offset)?;
    Ok(bytes)
}

fn write(disk: &RawDisk, offset: u64, bytes: &[u8]) -> io::Result<()> {
    disk.write_at(&[VolatileSlice::from(bytes.to_vec().as_mut_slice())], offset)
}

fn refusal(path: &Path, options: DiskOptions) -> String {
    let error = RawDisk::open(path, &options).unwrap_err();
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// Each message names the path, and the remedy if there is one.
#[test]
fn unsuitable_files_for_disks() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let name = |name: &str| at(name).display().to_string();

    assert_eq!(refusal(&at("missing"), WRITABLE), format!("disk {} does not exist", name("missing")));
    assert_eq!(
        refusal(dir.path(), READ_ONLY),
        format!("disk {} is a directory; give an image file or a block device", dir.path().display())
    );
    fs::write(at("empty"), []).unwrap();
    assert_eq!(
        refusal(&at("empty"), WRITABLE),
        format!("disk {} is empty; give it a size first, as truncate -s 10G does", name("empty"))
    );
    let _listener = UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for odd in [at("socket"), at("fifo"), "/dev/null".into()] {
        assert_eq!(
            refusal(&odd, READ_ONLY),
            format!("disk {} is neither a file nor a block device", odd.display())
        );
    }
    fs::write(at("file"), [0; 512]).unwrap();
    assert!(
        refusal(&at("file/disk"), WRITABLE)
            .starts_with(&format!("disk {} can't be opened: ", name("file/disk")))
    );
    // A running program can't be written to, not even by root.
    let running = refusal(Path::new("/proc/self/exe"), WRITABLE);
    assert!(
        running.starts_with("disk /proc/self/exe can't be written to; change that, or add readonly=on: ")
    );
    assert!(RawDisk::open(Path::new("/proc/self/exe"), &READ_ONLY).is_ok());
    // procfs has no direct I/O.
    let direct = DiskOptions { read_only: true, direct: true };
    assert!(!refusal(Path::new("/proc/version"), direct).is_empty());
}

#[test]
fn a_disk_in_use_is_refused() {
    let file = image(&[0; 512]);
    let disk = RawDisk::open(file.path(), &WRITABLE).unwrap();
    for options in [WRITABLE, READ_ONLY, DIRECT] {
        let error = refusal(file.path(), options);
        let expected =
            "is in use by this nvmm itself: another disk or overlay is the same file, or is based on it";
        assert!(error.starts_with(&format!("disk {} {expected}", file.path().display())), "{error}");
    }
    // Its other names don't hide that it is the same.
    let link = file.path().with_extension("link");
    std::os::unix::fs::symlink(file.path(), &link).unwrap();
    let error = refusal(&link, WRITABLE);
    fs::remove_file(&link).unwrap();
    assert!(error.contains("is in use by this nvmm itself"), "{error}");
    drop(disk);
    let _readers = [(); 2].map(|()| RawDisk::open(file.path(), &READ_ONLY).unwrap());
    assert!(RawDisk::open(file.path(), &WRITABLE).is_err());
}

#[test]
fn reads_and_writes_in_place() {
    let bytes = pattern(8192);
    let file = image(&bytes);
    let disk = RawDisk::open(file.path(), &WRITABLE).unwrap();
    assert_eq!(disk.name(), file.path().to_str().unwrap());
    assert_eq!((disk.size(), disk.is_read_only(), disk.block_size()), (8192, false, FILE_BLOCK_SIZE));
    assert_eq!(read(&disk, 512, 1024).unwrap(), bytes[512..1536]);
    write(&disk, 1024, &[7; 512]).unwrap();
    disk.flush().unwrap();
    let now = fs::read(file.path()).unwrap();
    assert_eq!(now[1024..1536], [7; 512]);
    assert_eq!((&now[..1024], &now[1536..]), (&bytes[..1024], &bytes[1536..]));
    drop(disk);

    let disk = RawDisk::open(file.path(), &READ_ONLY).unwrap();
    assert!(disk.is_read_only());
    assert_eq!(read(&disk, 0, 8192).unwrap(), now);
    assert!(write(&disk, 0, &[0; 512]).is_err());
    disk.flush().unwrap();
}

/// The last bytes of a file that doesn't end at a sector are not lost to the guest.
#[test]
fn a_part_of_a_sector_at_the_end() {
    for direct in [false, true] {
        let bytes = pattern(5000);
        let file = image(&bytes);
        let disk = RawDisk::open(file.path(), &DiskOptions { read_only: false, direct }).unwrap();
        assert_eq!(disk.size(), 5120);
        assert_eq!(read(&disk, 4096, 1024).unwrap(), [&bytes[4096..], &[0; 120]].concat());
        assert_eq!(read(&disk, 0, 5120).unwrap(), [&bytes[..], &[0; 120]].concat());
        let mut parts = [vec![1; 900], vec![1; 4], vec![1; 100], vec![1; 20]];
        let slices: Vec<_> = parts.iter_mut().map(|part| VolatileSlice::from(part.as_mut_slice())).collect();
        disk.read_at(&slices, 4096).unwrap();
        assert_eq!(parts.concat(), [&bytes[4096..], &[0; 120]].concat());
        write(&disk, 4608, &[9; 512]).unwrap();
        assert_eq!(read(&disk, 4608, 512).unwrap(), [9; 512]);
        assert_eq!(disk.size(), 5120);
    }
}

#[test]
fn a_file_truncated_under_way_gives_errors() {
    let file = image(&pattern(8192));
    let disk = RawDisk::open(file.path(), &WRITABLE).unwrap();
    file.as_file().set_len(4096).unwrap();
    assert_eq!(read(&disk, 0, 4096).unwrap(), pattern(4096));
    assert_eq!(read(&disk, 4096, 512).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(read(&disk, 0, 8192).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    // It can grow again by writes.
    write(&disk, 7680, &[3; 512]).unwrap();
    assert_eq!(read(&disk, 4096, 512).unwrap(), [0; 512]);
}

/// Direct I/O needs aligned memory, offsets and lengths. Unaligned requests return the same bytes anyway.
#[test]
fn direct_with_any_alignment() {
    const LEN: usize = 1 << 16;
    let bytes = pattern(LEN);
    let file = image(&bytes);
    let disk = match RawDisk::open(file.path(), &DIRECT) {
        Ok(disk) => disk,
        Err(error) if error.problem == Problem::NoDirect => return eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let direct = disk.direct.as_ref().unwrap();
    let mut memory = vec![0_u8; 3 * 4096];
    let aligned = memory.as_ptr().align_offset(4096);
    let mut expected = bytes;
    for (round, (shift, offset, len)) in (1..).zip([
        (0, 0, 4096),
        (0, 4096, 4096),
        (1, 8192, 4096),
        (0, 512, 4096),
        (0, 512, 512),
        (8, 1024, 1536),
    ]) {
        let start = usize::try_from(offset).unwrap();
        let buffer = &mut memory[aligned + shift..][..len];
        buffer.fill(0);
        let slice = [VolatileSlice::from(buffer)];
        let goes_past_the_cache = direct.can(&slice, offset);
        if (shift, offset % 4096, len) == (0, 0, 4096) {
            assert!(goes_past_the_cache);
        } else if shift == 1 {
            assert!(!goes_past_the_cache);
        }
        disk.read_at(&slice, offset).unwrap();
        let mut read = vec![0; len];
        slice[0].copy_to(&mut read);
        assert_eq!(read, expected[start..start + len], "shift {shift}, {len} at {offset}");

        slice[0].copy_from(&vec![round; len]);
        disk.write_at(&slice, offset).unwrap();
        expected[start..start + len].fill(round);
    }
    disk.flush().unwrap();
    let mut now = vec![0; LEN];
    file.as_file().read_exact_at(&mut now, 0).unwrap();
    assert_eq!(now, expected);
}

/// A disk of 1 MiB of ones in its own file, and the file.
fn ones() -> (NamedTempFile, RawDisk) {
    let image = image(&vec![1; 1 << 20]);
    let disk = RawDisk::open(image.path(), &DiskOptions::default()).unwrap();
    (image, disk)
}

#[test]
fn zeroes_are_where_they_were_asked_for() {
    for unmap in [false, true] {
        let (image, disk) = ones();
        disk.write_zeroes(4608..512 << 10, unmap).unwrap();
        let mut expected = vec![1; 1 << 20];
        expected[4608..512 << 10].fill(0);
        assert_eq!(fs::read(image.path()).unwrap(), expected, "unmap: {unmap}");
    }
}

#[test]
fn space_is_given_back() {
    let (image, disk) = ones();
    let allocated = || image.as_file().metadata().unwrap().blocks() * 512;
    disk.write_zeroes(0..512 << 10, false).unwrap();
    assert_eq!(allocated(), 1 << 20, "without leave to give it back");
    disk.write_zeroes(0..256 << 10, true).unwrap();
    assert_eq!(allocated(), 768 << 10);
    disk.discard(256 << 10..512 << 10).unwrap();
    assert_eq!(allocated(), 512 << 10);
    assert_eq!(image.as_file().metadata().unwrap().len(), 1 << 20);
}

#[test]
fn holes_are_found_without_reading() {
    let (_image, disk) = ones();
    disk.discard(256 << 10..512 << 10).unwrap();
    let kib = |offset: u64, len: u64| {
        let extent = disk.extent_at(offset << 10, len << 10).unwrap();
        (extent.len >> 10, extent.is_zero)
    };
    assert_eq!(kib(0, 1024), (256, false));
    assert_eq!(kib(256, 768), (256, true));
    assert_eq!(kib(300, 100), (100, true));
    assert_eq!(kib(512, 512), (512, false));
    disk.discard(512 << 10..1 << 20).unwrap();
    assert_eq!(kib(256, 768), (768, true), "a hole at the end");
}

#[test]
fn growth_is_seen_when_it_is_looked_for() {
    let (image, disk) = ones();
    image.as_file().set_len(2 << 20).unwrap();
    assert_eq!(disk.size(), 1 << 20);
    assert_eq!(disk.measure().unwrap(), 2 << 20);
    assert_eq!(disk.size(), 2 << 20);
    image.as_file().set_len(1 << 20).unwrap();
    assert_eq!(disk.measure().unwrap(), 2 << 20, "a disk never shrinks");
}

#[test]
fn the_kernel_is_given_whole_transfers_only() {
    let image = NamedTempFile::new().unwrap();
    image.as_file().set_len(1000).unwrap();
    let disk = RawDisk::open(image.path(), &DiskOptions::default()).unwrap();
    let mut memory = [0; 512];
    let buffers = [VolatileSlice::from(&mut memory[..])];
    assert_eq!(disk.file_for(Direction::Read, &buffers, 0), Some(0));
    assert_eq!(disk.file_for(Direction::Read, &buffers, 512), None, "the file ends within it");
    assert_eq!(disk.files().len(), 1);
}

#[test]
fn others_may_use_an_unlocked_disk_until_it_is_locked_again() {
    let file = image(&[0; 4096]);
    let disk = RawDisk::open(file.path(), &WRITABLE).unwrap();
    disk.unlock().unwrap();
    let other = RawDisk::open(file.path(), &WRITABLE).unwrap();
    assert!(disk.lock_again().unwrap().is_some());
    drop(other);
    assert_eq!(disk.lock_again().unwrap(), None);
    assert!(RawDisk::open(file.path(), &WRITABLE).is_err());
}
