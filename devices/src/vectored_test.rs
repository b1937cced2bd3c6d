use std::{
    fs,
    io::{ErrorKind, Seek, Write},
};

use proptest::prelude::*;

use super::*;

fn slices(buffers: &mut [Vec<u8>]) -> Vec<VolatileSlice<'_>> {
    buffers.iter_mut().map(|buffer| VolatileSlice::from(buffer.as_mut_slice())).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

proptest! {
    /// However memory is divided, the bytes and their order are the same.
    #[test]
    fn buffers_of_any_size(lens in prop::collection::vec(0_usize..300, 0..40), offset in 0_u64..1000) {
        let len = lens.iter().sum();
        let bytes = pattern(len);
        let mut rest = bytes.as_slice();
        let mut buffers: Vec<_> = lens
            .iter()
            .map(|&len| rest.split_off(..len).unwrap().to_vec())
            .collect();
        let file = tempfile::tempfile().unwrap();
        write(&file, &slices(&mut buffers), offset).unwrap();
        prop_assert_eq!(file.metadata().unwrap().len(), if len == 0 { 0 } else { offset + len as u64 });

        buffers.iter_mut().for_each(|buffer| buffer.fill(0));
        prop_assert_eq!(read(&file, &slices(&mut buffers), offset).unwrap(), len as u64);
        prop_assert_eq!(buffers.concat(), bytes);
    }
}

/// More buffers than one call takes, with a call ending at `IOV_MAX`.
#[test]
fn thousands_of_buffers() {
    let bytes = pattern(5000 * 3);
    let mut buffers: Vec<_> = bytes.chunks(3).map(<[u8]>::to_vec).collect();
    let mut file = tempfile::tempfile().unwrap();
    write(&file, &slices(&mut buffers), 7).unwrap();
    buffers.iter_mut().for_each(|buffer| buffer.fill(0));
    assert_eq!(read(&file, &slices(&mut buffers), 7).unwrap(), 15000);
    assert_eq!(buffers.concat(), bytes);
    assert_eq!(file.stream_position().unwrap(), 0);
    file.write_all(b"0123456").unwrap();
}

#[test]
fn reading_ends_with_the_file() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(100).unwrap();
    let mut buffers = vec![vec![0xff; 40]; 4];
    assert_eq!(read(&file, &slices(&mut buffers), 0).unwrap(), 100);
    assert_eq!(buffers.concat(), [vec![0; 100], vec![0xff; 60]].concat());
    assert_eq!(read(&file, &slices(&mut buffers), 100).unwrap(), 0);
}

#[test]
fn errors_are_the_hosts() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = File::open(path.path()).unwrap();
    let mut buffers = vec![vec![0; 8]];
    let error = write(&file, &slices(&mut buffers), 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    let error = read(&file, &slices(&mut buffers), u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = write(&full, &slices(&mut buffers), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

#[test]
fn a_frame_is_one_call() {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut sent = vec![vec![1; 5], vec![], vec![2; 3]];
    assert_eq!(send(&ours, &slices(&mut sent)).unwrap(), 8);
    assert_eq!(send(&ours, &slices(&mut sent[..1])).unwrap(), 5);
    let mut got = vec![vec![0; 2], vec![0; 4]];
    assert_eq!(receive(&theirs, &slices(&mut got)).unwrap(), 6, "the rest is lost");
    assert_eq!(got.concat(), [1, 1, 1, 1, 1, 2]);
    assert_eq!(receive(&theirs, &slices(&mut got)).unwrap(), 5);
}

#[test]
fn a_stream_takes_what_it_has_room_for() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut buffers = vec![vec![1; 5], vec![], vec![2; 3]];
    assert_eq!(send_now(&ours, &slices(&mut buffers)).unwrap(), 8);
    let mut much = vec![vec![7; 1 << 20]; 4];
    let mut sent = 8;
    let full = loop {
        match send_now(&ours, &slices(&mut much)) {
            Ok(more) => sent += more,
            Err(error) => break error,
        }
        assert!(sent < 4 << 20);
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    drop(theirs);
    assert_eq!(send_now(&ours, &slices(&mut much)).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_frame_has_no_more_buffers_than_a_call() {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut buffers = vec![vec![7; 1]; IOV_MAX + 1];
    assert_eq!(send(&ours, &slices(&mut buffers)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(send(&ours, &slices(&mut buffers[1..])).unwrap(), IOV_MAX);
    assert_eq!(receive(&theirs, &slices(&mut buffers)).unwrap(), IOV_MAX);
}

#[test]
fn buffers_that_touch_are_one() {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut memory = pattern(2 * IOV_MAX);
    let pieces: Vec<_> = memory.chunks_mut(1).map(VolatileSlice::from).collect();
    assert_eq!(iovecs(&pieces).len(), 1);
    assert_eq!(send(&ours, &pieces).unwrap(), 2 * IOV_MAX);
    // A different order does not.
    let turned: Vec<_> = pieces.into_iter().rev().take(4).collect();
    assert_eq!(iovecs(&turned).len(), 4);
    assert_eq!(receive(&theirs, &turned).unwrap(), 4);
    assert_eq!(memory[2 * IOV_MAX - 4..], [3, 2, 1, 0]);
}
