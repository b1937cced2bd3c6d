use std::{io::Write, os::unix::net::UnixStream, thread};

use proptest::prelude::*;
use vm_memory::Bytes;

use super::*;

const RAM: usize = 0x10_0000;
const DEVICE: usize = 0x2800;

fn a_room() -> Room {
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM), (GuestAddress(0x1_0000_0000), RAM)]);
    let parts = vec![Ok(0), Ok(0x1_0000_0000), Err("screen".to_owned())];
    let others = BTreeMap::from([("screen".to_owned(), vec![7; DEVICE])]);
    Room { ram: ram.unwrap(), others, untouched: Arc::new(Untouched::open()), parts }
}

fn message(number: u32, page: u64, rest: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes()[..], &page.to_le_bytes(), rest].concat()
}

#[test]
fn pages_are_put_where_they_belong() {
    let mut room = a_room();
    room.pages(&message(1, 3, &[5; 0x2000])).unwrap();
    let mut bytes = [0; 0x4000];
    room.ram.read_slice(&mut bytes, GuestAddress(0x1_0000_2000)).unwrap();
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == if (0x1000..0x3000).contains(&at) { 5 } else { 0 })
    );
    room.zeros(&message(1, 4, &1_u64.to_le_bytes())).unwrap();
    assert_eq!(room.ram.read_obj::<u8>(GuestAddress(0x1_0000_4000)).unwrap(), 0);
    assert_eq!(room.ram.read_obj::<u8>(GuestAddress(0x1_0000_3fff)).unwrap(), 5);
    // The last page of a device's memory is incomplete.
    room.pages(&message(2, 2, &[1; 0x800])).unwrap();
    room.zeros(&message(2, 1, &1_u64.to_le_bytes())).unwrap();
    let screen = &room.others["screen"];
    assert!(
        screen[..0x1000].iter().all(|byte| *byte == 7)
            && screen[0x1000..0x2000].iter().all(|byte| *byte == 0)
    );
    assert!(screen[0x2000..].iter().all(|byte| *byte == 1));
    room.zeros(&message(2, 2, &1_u64.to_le_bytes())).unwrap();
    assert!(room.others["screen"][0x2000..].iter().all(|byte| *byte == 0));
}

#[test]
fn zeros_leave_untouched_memory_so() {
    let mut room = a_room();
    room.pages(&message(0, 3, &[5; 0x1000])).unwrap();
    room.zeros(&message(0, 4, &4_u64.to_le_bytes())).unwrap();
    let page = |number: u64| {
        let region = room.ram.find_region(GuestAddress(0)).unwrap();
        room.untouched.has(&region.get_slice(MemoryRegionAddress(number * PAGE), 0x1000).unwrap(), None)
    };
    assert_eq!([3, 4, 7].map(page), [false, true, true]);
}

#[test]
fn pages_outside_of_memory_are_refused() {
    let page = [1; 0x1000];
    for (number, first) in [(0, 0x100), (0, u64::MAX), (1, 1 << 52), (2, 3), (2, u64::MAX / 0x1000), (3, 0)] {
        assert!(a_room().pages(&message(number, first, &page)).is_err(), "{number} {first}");
        assert!(a_room().zeros(&message(number, first, &1_u64.to_le_bytes())).is_err(), "{number} {first}");
    }
    assert!(a_room().pages(&message(0, 0xff, &[1; 0x2000])).is_err());
    assert!(a_room().zeros(&message(0, 0, &u64::MAX.to_le_bytes())).is_err());
}

fn sides() -> (Connection, Connection) {
    let (one, other) = UnixStream::pair().unwrap();
    (Connection::new(one.into()).unwrap(), Connection::new(other.into()).unwrap())
}

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_source_that_hangs_is_given_up() {
    let (mut here, mut there) = sides();
    there.send(Kind::Pages, &[&message(0, 0, &[1; 0x1000])], LONG, &|| false).unwrap();
    let mut room = a_room();
    let error = take_memory(&mut here, &mut room, SHORT, &|| false).unwrap_err();
    assert!(error.to_string().contains("the other side has done nothing for "), "{error}");
    assert_eq!(room.ram.read_obj::<u8>(GuestAddress(0)).unwrap(), 1);
}

#[test]
fn a_source_that_never_gives_the_word_is_told_that_nothing_runs_here() {
    let (connection, mut there) = sides();
    let peer = Peer { connection, silence: SHORT, lifeline: None, paused: false };
    let error = format!("{:#}", peer.take_over(&|| false).unwrap_err());
    assert!(
        error.starts_with("the machine goes on where it was: the other side has done nothing"),
        "{error}"
    );
    there.expect(Kind::Ready, Some(LONG), &|| false).unwrap();
    let said = there.receive(Some(LONG), &|| false).unwrap_err().to_string();
    assert!(said.contains("refuses: it has given up: "), "{said}");
}

/// A peer that sends a byte now and then must not block the others.
#[test]
fn a_peer_has_a_limited_time_to_describe_its_machine() {
    let (here, mut there) = UnixStream::pair().unwrap();
    // The header of a first message of 64 bytes, and a part of it.
    let bytes = [&1_u32.to_le_bytes()[..], &64_u32.to_le_bytes(), &[0; 60]].concat();
    let peer = thread::spawn(move || {
        for byte in bytes {
            if there.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(SHORT / 10);
        }
    });
    let mut here = Connection::new(here.into()).unwrap();
    let error = begin(&mut here, SHORT).unwrap_err();
    assert_eq!(error.to_string(), "it did not describe its machine within 0 seconds");
    drop(here);
    peer.join().unwrap();
}

proptest! {
    #[test]
    fn no_message_is_too_much(content in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut room = a_room();
        let _ = room.pages(&content);
        let _ = room.zeros(&content);
    }
}
