use std::io::{Seek, Write};

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

/// Reads until the end, as the main thread does.
fn read_to_end(stdin: &mut Stdin) -> Vec<u8> {
    let mut all = Vec::new();
    while stdin.watch().is_some() {
        poll(&mut [PollFd::new(&stdin.file, PollFlags::IN)], None).unwrap();
        all.extend(stdin.read(&mut [0; 16]));
    }
    all
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    let (reader, mut writer) = io::pipe().unwrap();
    let mut stdin = Stdin::of(OwnedFd::from(reader).into());
    assert!(!stdin.needs_pump);
    writer.write_all(b"some of it").unwrap();
    assert_eq!(stdin.read(&mut [0; 4]), b"some");
    drop(writer);
    assert_eq!(read_to_end(&mut stdin), b" of it");
    assert!(stdin.has_ended());
}

#[test]
fn a_file_is_left_alone_until_it_is_watched() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[b'a'; 100]).unwrap();
    file.rewind().unwrap();
    let mut stdin = Stdin::of(file.try_clone().unwrap());
    assert!(stdin.needs_pump);
    assert_eq!(file.stream_position().unwrap(), 0);
    assert_eq!(read_to_end(&mut stdin), [b'a'; 100]);
    assert_eq!(stdin.watch(), None);
}
