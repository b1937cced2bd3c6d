use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
};

use proptest::prelude::*;

use super::*;
use crate::net::{
    LEGACY_HEADER_LEN,
    testing::{receive, send},
};

/// A port and its peer.
fn pair() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Stream::new(ours.into()), theirs)
}

fn with_len(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat()
}

fn with_header(frame: &[u8]) -> Vec<u8> {
    [&[0; HEADER_LEN][..], frame].concat()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn frames_come_wherever_they_are_cut() {
    let frames = [pattern(14), pattern(0), pattern(60), pattern(1)];
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| with_len(frame)).collect();
    for cut in 0..=bytes.len() {
        let (port, mut peer) = pair();
        let mut came = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            peer.write_all(part).unwrap();
            while let Ok(frame) = receive(&port) {
                came.push(frame);
            }
            assert_eq!(receive(&port).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(came, frames.each_ref().map(|frame| with_header(frame)), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn frames_of_any_length_come_in_any_parts(
        lens in prop::collection::vec(prop_oneof![0_usize..100, 60_000..=LONGEST_FRAME], 1..12),
        part in 200_usize..70_000,
    ) {
        let (port, mut peer) = pair();
        let bytes: Vec<u8> = lens.iter().flat_map(|&len| with_len(&pattern(len))).collect();
        let (mut rest, mut came) = (bytes.as_slice(), Vec::new());
        while came.len() < lens.len() {
            if let Ok(written) = peer.write(&rest[..part.min(rest.len())]) {
                rest = &rest[written..];
            }
            match receive(&port) {
                Ok(frame) => came.push(frame),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let expected: Vec<_> = lens.iter().map(|&len| with_header(&pattern(len))).collect();
        prop_assert!(came == expected);
    }

    /// A peer that reads in parts gets each frame once and whole.
    #[test]
    fn frames_go_in_any_parts(
        lens in prop::collection::vec(prop_oneof![14_usize..100, 60_000..=LONGEST_FRAME], 1..12),
        part in 1000_usize..70_000,
    ) {
        let (port, mut peer) = pair();
        let (mut got, mut waited) = (Vec::new(), vec![0; part]);
        let mut read = || if let Ok(len) = peer.read(&mut waited) { got.extend(&waited[..len]) };
        for &len in &lens {
            while let Err(error) = send(&port, &with_header(&pattern(len))) {
                prop_assert_eq!(error.kind(), ErrorKind::WouldBlock);
                read();
            }
        }
        while let Err(error) = port.flush() {
            prop_assert_eq!(error.kind(), ErrorKind::WouldBlock);
            read();
        }
        // A program that another test is starting may have the socket open for a moment.
        peer.set_nonblocking(false).unwrap();
        drop(port);
        peer.read_to_end(&mut got).unwrap();
        let expected: Vec<u8> = lens.iter().flat_map(|&len| with_len(&pattern(len))).collect();
        prop_assert!(got == expected);
    }
}

#[test]
fn a_peer_that_never_reads_holds_up_a_bounded_number_of_frames() {
    let (port, _peer) = pair();
    let frame = with_header(&pattern(LONGEST_FRAME));
    let sent = (0..1000).take_while(|_| send(&port, &frame).is_ok()).count();
    assert!((1..1000).contains(&sent), "{sent}");
    for _ in 0..3 {
        assert_eq!(send(&port, &frame).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(port.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_frame_that_the_peer_would_not_take_is_dropped() {
    let (port, mut peer) = pair();
    for len in [0, 1, HEADER_LEN, HEADER_LEN + 13, HEADER_LEN + LONGEST_FRAME + 1, 100_000] {
        assert_eq!(send(&port, &vec![0; len]).unwrap_err().kind(), ErrorKind::InvalidInput, "{len}");
    }
    send(&port, &with_header(&pattern(14))).unwrap();
    let mut got = [0; 100];
    assert_eq!(peer.read(&mut got).unwrap(), 18);
    assert_eq!(got[..18], with_len(&pattern(14)));
}

#[test]
fn a_header_can_be_shorter() {
    let (port, mut peer) = pair();
    port.set_header_len(LEGACY_HEADER_LEN);
    let header = [0; LEGACY_HEADER_LEN];
    send(&port, &[&header[..], &pattern(14)].concat()).unwrap();
    let mut taken = [0; 18];
    peer.read_exact(&mut taken).unwrap();
    assert_eq!(taken[..], with_len(&pattern(14)));
    let too_short = send(&port, &[&header[..], &pattern(13)].concat());
    assert_eq!(too_short.unwrap_err().kind(), ErrorKind::InvalidInput);
    peer.write_all(&with_len(&pattern(60))).unwrap();
    assert_eq!(receive(&port).unwrap(), [&header[..], &pattern(60)].concat());
}

#[test]
fn frames_that_do_not_fit_are_lost() {
    let (port, mut peer) = pair();
    peer.write_all(&[with_len(&pattern(60)), with_len(&pattern(14))].concat()).unwrap();
    let mut bytes = [0xff; 20];
    let (a, b) = bytes.split_at_mut(7);
    let len = port.receive(&[a, b].map(VolatileSlice::from)).unwrap();
    assert_eq!(len, HEADER_LEN + 60);
    assert_eq!(bytes[..], with_header(&pattern(8)));
    assert_eq!(receive(&port).unwrap(), with_header(&pattern(14)));
}

#[test]
fn a_peer_that_is_gone_or_mad_ends_it() {
    let (port, mut peer) = pair();
    peer.write_all(&with_len(&pattern(14))).unwrap();
    drop(peer);
    assert_eq!(receive(&port).unwrap(), with_header(&pattern(14)));
    for _ in 0..2 {
        assert_eq!(receive(&port).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(send(&port, &with_header(&pattern(14))).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    let (port, mut peer) = pair();
    peer.write_all(&65_536_u32.to_be_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(receive(&port).unwrap_err().to_string(), "a frame of 65536 bytes");
    }
}
