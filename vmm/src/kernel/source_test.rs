use std::{
    fs::{self, OpenOptions},
    io::Write,
    thread,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{super::testing::message, *};

const MAX: Size = Size(0x1000);

fn memory() -> GuestRam {
    GuestRam::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap()
}

/// A file of `bytes` with an old modification time.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    path
}

fn fifo(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Opens the FIFO while up to `len` bytes are written to it.
fn open_fifo(path: &Path, len: usize) -> Result<Source, KernelError> {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
            let bytes: Vec<_> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
            let _ = pipe.write_all(&bytes);
        });
        Source::open("--initramfs", path, MAX)
    })
}

/// Reads all of it twice, as a machine that is reset does.
fn read(source: &Source) -> Result<Vec<u8>, KernelError> {
    let mut read = vec![0; usize::try_from(source.len()).unwrap()];
    for _ in 0..2 {
        let memory = memory();
        source.copy(0, source.len(), &memory, 0x1000)?;
        source.check_unchanged()?;
        memory.read_slice(&mut read, GuestAddress(0x1000)).unwrap();
    }
    Ok(read)
}

#[test]
fn a_name_that_is_gone_or_given_away_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "kernel", b"kernel");
    let source = Source::open("--kernel", &path, MAX).unwrap();
    fs::rename(file(&folder, "new", b"KERNEL"), &path).unwrap();
    assert_eq!(read(&source).unwrap(), b"kernel");
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&source).unwrap(), b"kernel");
    assert_eq!(source.head(4).unwrap(), b"kern");
}

#[test]
fn an_overwritten_file_is_not_read_again() {
    type Change = fn(&mut File);
    let changes: [(&str, Change); 3] = [
        ("overwritten", |file| file.write_all(b"KERNEL").unwrap()),
        ("cut", |file| file.set_len(3).unwrap()),
        ("grown", |file| file.set_len(7).unwrap()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, change) in changes {
        let path = file(&folder, what, b"kernel");
        let source = Source::open("--kernel", &path, MAX).unwrap();
        assert_eq!(read(&source).unwrap(), b"kernel");
        change(&mut File::options().write(true).open(&path).unwrap());
        let error = message(read(&source).unwrap_err());
        let expected = format!("--kernel {}: the file was overwritten since nvmm opened it", path.display());
        assert!(error.starts_with(&expected), "{what}: {error}");
    }
}

#[test]
fn a_pipe_is_read_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(&folder);
    for len in [0, 1, 0x1000] {
        let source = open_fifo(&path, len).unwrap();
        assert_eq!(source.len(), len as u64);
        assert_eq!(read(&source).unwrap().len(), len);
    }
    assert_eq!(read(&open_fifo(&path, 3).unwrap()).unwrap(), [0, 1, 2]);
    let error = message(open_fifo(&path, 0x1_0000).unwrap_err());
    let expected = "can't be read: more than 4 KiB come out of this pipe, and that is all of --memory";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn sources_that_can_not_be_read_again_are_refused() {
    for (path, why) in [
        ("/dev/zero", "it is a character device; give a file or a pipe"),
        ("/", "is a directory"),
        ("/no/such", "No such file or directory (os error 2)"),
    ] {
        let error = message(Source::open("--initramfs", Path::new(path), MAX).unwrap_err());
        assert_eq!(error, format!("--initramfs {path}: can't be read: {why}"));
    }
}
