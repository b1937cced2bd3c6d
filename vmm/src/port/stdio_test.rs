use std::io::{Seek, Write};

use super::*;

fn take(input: &mut Input) -> Vec<u8> {
    let mut taken = Vec::new();
    input.deliver(|bytes| {
        taken.extend(bytes);
        bytes.len()
    });
    taken
}

fn is_ready(stdin: &Stdin) -> bool {
    poll(&mut [PollFd::new(&stdin.ready, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

/// Reads until the end, as the main thread does.
fn read_to_end(stdin: &mut Stdin, input: &mut Input) -> Vec<u8> {
    stdin.serve(input);
    let mut all = take(input);
    while !stdin.ended {
        if stdin.is_watched {
            poll(&mut [PollFd::new(&stdin.ready, PollFlags::IN)], None).unwrap();
        }
        stdin.serve(input);
        all.extend(take(input));
    }
    all
}

#[test]
fn a_pipe_is_read_as_far_as_there_is_room() {
    let (reader, mut writer) = io::pipe().unwrap();
    let mut stdin = Stdin::new(OwnedFd::from(reader).into()).unwrap();
    let mut input = Input::new(4);
    stdin.serve(&mut input);
    assert!(!is_ready(&stdin) && input.is_empty());
    writer.write_all(b"some of it").unwrap();
    assert!(is_ready(&stdin));
    stdin.serve(&mut input);
    assert!(!is_ready(&stdin), "without room there is nothing to do");
    drop(writer);
    assert_eq!(take(&mut input), b"some");
    assert_eq!(read_to_end(&mut stdin, &mut input), b" of it");
    assert!(!is_ready(&stdin), "the end is no news");
}

#[test]
fn a_file_is_left_alone_until_it_is_served() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[b'a'; 100]).unwrap();
    file.rewind().unwrap();
    let mut stdin = Stdin::new(file.try_clone().unwrap()).unwrap();
    assert!(stdin.copied.is_some());
    assert_eq!(file.stream_position().unwrap(), 0);
    assert_eq!(read_to_end(&mut stdin, &mut Input::new(8)), [b'a'; 100]);
}

#[test]
fn dev_null_is_at_its_end_and_needs_no_thread() {
    let mut stdin = Stdin::new(File::open("/dev/null").unwrap()).unwrap();
    assert!(stdin.ended && stdin.copied.is_none());
    stdin.serve(&mut Input::new(8));
    assert!(!is_ready(&stdin));
    // Another device that epoll refuses has bytes.
    let mut stdin = Stdin::new(File::open("/dev/zero").unwrap()).unwrap();
    let mut input = Input::new(8);
    stdin.serve(&mut input);
    while input.is_empty() {
        poll(&mut [PollFd::new(&stdin.ready, PollFlags::IN)], None).unwrap();
        stdin.serve(&mut input);
    }
    let taken = take(&mut input);
    assert!(taken.len() <= 8 && taken.iter().all(|byte| *byte == 0), "{taken:?}");
}
