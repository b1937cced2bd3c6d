use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    net::Shutdown as Half,
    thread,
};

use zerocopy::IntoBytes;

use super::*;
use crate::virtio::{
    queue::test_driver::WRITE,
    vsock::{
        connections::MOST_REPLIES,
        test_guest::{Guest, PACKET, RX, TX, pattern, read, read_to_end},
    },
};

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn ten_mebibytes_pass_each_way_through_small_buffers() {
    const LEN: usize = 10 << 20;
    let mut guest = Guest::new(4);
    guest.buf_alloc = 10_000;
    let (ports, program) = guest.connect(1000, 1);
    let (to_guest, to_host) = (pattern(LEN, 0), pattern(LEN, 0x55));
    let (hash_to_guest, hash_to_host) = (hash(&to_guest), hash(&to_host));
    let mut writer = program.try_clone().unwrap();
    let writing = thread::spawn(move || {
        writer.write_all(&to_guest).unwrap();
        writer.shutdown(Half::Write).unwrap();
    });
    let reading = thread::spawn(move || read_to_end(&program));

    let (mut received, mut sent, mut room) = (Vec::new(), 0, (ROOM, 0));
    let mut ended = false;
    while !ended || sent < LEN {
        // As much as the host has room for.
        let free = room.0 - (u32::try_from(sent).unwrap() - room.1);
        let part = (LEN - sent).min(free as usize).min(30_000);
        if part > 0 {
            guest.fwd_cnt = u32::try_from(received.len()).unwrap();
            guest.send_data(ports, &to_host[sent..sent + part]);
            sent += part;
        }
        if !ended || part == 0 {
            let (header, data) = guest.receive();
            room = (header.buf_alloc.get(), header.fwd_cnt.get());
            received.extend(data);
            match header.operation().unwrap() {
                Operation::CreditRequest => {
                    guest.fwd_cnt = u32::try_from(received.len()).unwrap();
                    guest.send(ports, Operation::CreditUpdate);
                }
                Operation::Shutdown => ended = true,
                Operation::Rw | Operation::CreditUpdate => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((received.len(), hash(&received)), (LEN, hash_to_guest));
    guest.shutdown(ports, Shutdown::SEND.bits());
    let read = reading.join().unwrap();
    assert_eq!((read.len(), hash(&read)), (LEN, hash_to_host));
    writing.join().unwrap();
}

#[test]
fn a_guest_gets_no_more_than_it_has_room_for() {
    let mut guest = Guest::new(16);
    guest.buf_alloc = 1000;
    let (ports, mut program) = guest.connect(1000, 1);
    let data = pattern(2500, 0);
    program.write_all(&data).unwrap();
    for (fwd_cnt, from, to) in [(0, 0, 1000), (10, 1000, 1010), (1010, 1010, 2010)] {
        if fwd_cnt > 0 {
            guest.fwd_cnt = fwd_cnt;
            guest.send(ports, Operation::CreditUpdate);
        }
        let (header, got) = guest.receive();
        assert_eq!((header.operation(), got == data[from..to]), (Some(Operation::Rw), true));
        guest.expect(ports, Operation::CreditRequest);
        // It is asked once, whatever it answers.
        for _ in 0..3 {
            guest.send(ports, Operation::CreditUpdate);
            guest.expect_nothing();
        }
    }
    // Nonsense gives no credit.
    guest.fwd_cnt = 0x8000_0000;
    guest.send(ports, Operation::CreditUpdate);
    guest.expect_nothing();
    guest.fwd_cnt = 2010;
    guest.send(ports, Operation::CreditUpdate);
    assert_eq!(guest.receive().1, data[2010..]);
}

#[test]
fn a_program_that_never_reads_blocks_no_other() {
    let mut guest = Guest::new(16);
    let (deaf, deaf_program) = guest.connect(1000, 1);
    let data = pattern(60_000, 0);
    let (mut sent, mut fwd_cnt) = (0, 0);
    // Until the host has no room left: its buffer has the announced size.
    loop {
        let before = guest.header(deaf, Operation::CreditRequest);
        guest.send_packet(&before, &[]);
        loop {
            let (header, _) = guest.receive();
            assert_eq!(header.operation(), Some(Operation::CreditUpdate));
            fwd_cnt = fwd_cnt.max(header.fwd_cnt.get());
            if header.fwd_cnt.get() == fwd_cnt {
                break;
            }
        }
        let room = ROOM - (sent - fwd_cnt);
        if room == 0 {
            break;
        }
        let part = room.min(60_000);
        guest.send_data(deaf, &data[..part as usize]);
        sent += part;
        assert!(sent < 100 << 20, "it takes more and more");
        // It may have announced room by itself.
        while guest.machine.drivers[0].used().is_some() {
            guest.post(1);
        }
    }
    // The other connections continue.
    let (ports, program) = guest.connect(1001, 2);
    guest.send_data(ports, b"hello");
    assert_eq!(read(&program, 5), b"hello");
    // One byte more is too much.
    guest.send_data(deaf, b"x");
    guest.expect(deaf, Operation::Rst);
    drop(deaf_program);
}

/// Without buffers for answers, no more packets that need answers are taken; nothing is lost.
#[test]
fn a_guest_without_buffers_waits() {
    let mut guest = Guest::new(0);
    guest.reposts = false;
    let listener = guest.listen(1);
    let ports = Ports { guest: 1000, host: 1 };
    guest.send(ports, Operation::Request);
    let mut program = listener.accept().unwrap().0;
    program.write_all(&[7; 10_000]).unwrap();
    // Two requests that the guest never sees.
    drop(guest.program(b"CONNECT 5\n"));
    drop(guest.program(b"CONNECT 5\n"));
    let nobody = guest.header(Ports { guest: 7, host: 7 }, Operation::CreditRequest);
    guest.machine.drivers[1].write(PACKET, nobody.as_bytes());
    let header_len = u32::try_from(Header::LEN).unwrap();
    let mut taken = 0;
    for _ in 0..MOST_REPLIES - 8 {
        guest.machine.offer(TX, &[(PACKET, header_len, 0)]);
        guest.wait_taken();
        taken += 1;
    }
    for _ in 0..100 {
        guest.machine.offer(TX, &[(PACKET, header_len, 0)]);
    }
    let (mut answers, mut data, mut responses) = (0, 0, 0);
    while answers < taken + 100 || data < 10_000 {
        guest.post(1);
        let (header, bytes) = guest.receive();
        data += bytes.len();
        match header.operation().unwrap() {
            Operation::Response => responses += 1,
            Operation::Rst => answers += 1,
            Operation::Rw => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answers, data, responses), (taken + 100, 10_000, 1));
    // A buffer that is too small for a packet is returned unchanged.
    guest.machine.drivers[0].chain(&[(PACKET, 44, WRITE)]);
    program.write_all(b"x").unwrap();
    guest.machine.kick(RX);
    while guest.machine.drivers[0].used().is_none_or(|used| used.1 != 0) {
        guest.machine.event();
    }
    guest.post(1);
    while guest.machine.drivers[0].used().is_none() {
        guest.machine.event();
    }
}
