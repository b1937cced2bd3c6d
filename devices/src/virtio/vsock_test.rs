use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Write},
    net::Shutdown as Half,
    os::unix::net::UnixStream,
    path::Path,
    thread,
};

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::{
    connection::ROOM,
    connections::{MOST_CONNECTIONS, MOST_GREETINGS, MOST_REPLIES},
    packet::{Header, Operation, Ports, Shutdown},
    test_guest::{CID, Guest, PACKET, RX, TX, read, read_to_end},
    *,
};
use crate::virtio::{
    queue::test_driver::WRITE,
    test_machine::{Event, LONG},
};

const BOTH: u32 = 3;

/// Bytes that differ from those of any other place near by.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at % 251) ^ ((at >> 8) & 0xff)).unwrap() ^ seed).collect()
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_driver_finds_its_address() {
    let device = Vsock::new(Arc::new(Host::planned(CID, Path::new("none"))));
    assert_eq!((device.kind().device_type, device.kind().class.base), (19, 7));
    let mut config = [0xff; 12];
    device.read_config(0, &mut config);
    assert_eq!(config, [42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    device.read_config(4, &mut config[..4]);
    assert_eq!(config[..4], [0; 4]);
}

#[test]
fn a_program_of_the_host_connects() {
    let mut guest = Guest::new(16);
    let program = guest.program(b"CONNECT 1234\nearly");
    let (request, _) = guest.receive();
    let ports = Ports { guest: 1234, host: request.src_port.get() };
    assert_eq!((request.operation(), request.buf_alloc.get()), (Some(Operation::Request), ROOM));
    guest.expect_nothing();
    guest.send(ports, Operation::Response);
    assert_eq!(read(&program, 14), b"OK 1073741824\n");
    let (header, data) = guest.receive();
    assert_eq!((header.operation(), &data[..]), (Some(Operation::Rw), &b"early"[..]));
    guest.send_data(ports, b"answer");
    assert_eq!(read(&program, 6), b"answer");

    // Another one has another port, also to another port of the guest.
    let _other = guest.program(b"connect 1234\r\n");
    assert_eq!(guest.receive().0.src_port.get(), ports.host + 1);
}

#[test]
fn a_guest_that_does_not_accept_ends_it() {
    let mut guest = Guest::new(16);
    let program = guest.program(b"CONNECT 5\nearly");
    let (request, _) = guest.receive();
    guest.send(Ports { guest: 5, host: request.src_port.get() }, Operation::Rst);
    assert_eq!(read_to_end(&program), b"");
    guest.expect_nothing();
}

#[test]
fn a_program_that_goes_before_the_guest_answers_is_taken_back() {
    let mut guest = Guest::new(16);
    let program = guest.program(b"CONNECT 5\n");
    let (request, _) = guest.receive();
    let ports = Ports { guest: 5, host: request.src_port.get() };
    drop(program);
    guest.expect(ports, Operation::Rst);
    guest.send(ports, Operation::Response);
    guest.expect(ports, Operation::Rst);
}

#[test]
fn a_guest_connects_to_a_program() {
    let mut guest = Guest::new(16);
    let (ports, mut program) = guest.connect(1000, 52);
    program.write_all(b"from the host").unwrap();
    let (header, data) = guest.receive();
    assert_eq!((header.operation(), header.dst_port.get()), (Some(Operation::Rw), 1000));
    assert_eq!(data, b"from the host");
    guest.send_data(ports, b"from ");
    guest.send_data(ports, b"the guest");
    assert_eq!(read(&program, 14), b"from the guest");
    guest.shutdown(ports, BOTH);
    guest.expect(ports, Operation::Rst);
    assert_eq!(read_to_end(&program), b"");
    // The same ports can be used again.
    let (_, program) = guest.connect(1000, 52);
    drop(program);
}

#[test]
fn where_nobody_listens_nobody_answers() {
    let mut guest = Guest::new(16);
    let ports = Ports { guest: 1, host: 2 };
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Rst);
    // Somebody did once.
    drop(guest.listen(2));
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Rst);
    // A file.
    std::fs::write(guest.path_of(3), "").unwrap();
    let ports = Ports { guest: 1, host: 3 };
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Rst);
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
    // Nonsense is no credit.
    guest.fwd_cnt = 0x8000_0000;
    guest.send(ports, Operation::CreditUpdate);
    guest.expect_nothing();
    guest.fwd_cnt = 2010;
    guest.send(ports, Operation::CreditUpdate);
    assert_eq!(guest.receive().1, data[2010..]);
}

#[test]
fn either_side_can_stop_sending_and_still_receive() {
    let mut guest = Guest::new(16);
    let (ports, mut program) = guest.connect(1000, 1);
    program.write_all(b"question").unwrap();
    program.shutdown(Half::Write).unwrap();
    assert_eq!(guest.receive().1, b"question");
    assert_eq!(guest.expect(ports, Operation::Shutdown).flags.get(), Shutdown::SEND.bits());
    guest.send_data(ports, b"answer");
    assert_eq!(read(&program, 6), b"answer");
    // That is all: the guest learns that it has arrived.
    guest.shutdown(ports, Shutdown::SEND.bits());
    assert_eq!(read_to_end(&program), b"");
    assert_eq!(guest.expect(ports, Operation::Shutdown).flags.get(), BOTH);
    guest.send(ports, Operation::Rst);
    guest.expect_nothing();

    let (ports, mut program) = guest.connect(1001, 1);
    guest.send_data(ports, b"question");
    guest.shutdown(ports, Shutdown::SEND.bits());
    assert_eq!(read_to_end(&program), b"question");
    program.write_all(b"answer").unwrap();
    assert_eq!(guest.receive().1, b"answer");
    // It said that it would not.
    guest.send_data(ports, b"more");
    guest.expect(ports, Operation::Rst);
    assert_eq!(read_to_end(&program), b"");

    let (ports, mut program) = guest.connect(1002, 1);
    guest.shutdown(ports, Shutdown::RECEIVE.bits());
    guest.send_data(ports, b"still");
    assert_eq!(read(&program, 5), b"still");
    assert_eq!(program.write(b"lost").unwrap_err().kind(), ErrorKind::BrokenPipe);
    guest.shutdown(ports, Shutdown::SEND.bits());
    guest.expect(ports, Operation::Rst);
}

#[test]
fn a_program_that_ends_is_read_out_first() {
    let mut guest = Guest::new(16);
    guest.buf_alloc = 6;
    let (ports, mut program) = guest.connect(1000, 1);
    program.write_all(b"last words").unwrap();
    drop(program);
    let mut words = Vec::new();
    loop {
        let (header, data) = guest.receive();
        words.extend(data);
        match header.operation().unwrap() {
            Operation::Rw => {}
            Operation::CreditRequest => {
                // Nobody takes it, and that is no mistake of the guest's.
                guest.send_data(ports, b"into the void");
                guest.fwd_cnt = u32::try_from(words.len()).unwrap();
                guest.send(ports, Operation::CreditUpdate);
            }
            Operation::Shutdown if header.flags.get() == BOTH => break,
            Operation::Shutdown => assert_eq!(header.flags.get(), Shutdown::RECEIVE.bits()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(words, b"last words");
    guest.send(ports, Operation::Rst);
    guest.expect_nothing();
}

#[test]
fn a_program_that_never_reads_holds_up_nobody_else() {
    let mut guest = Guest::new(16);
    let (deaf, deaf_program) = guest.connect(1000, 1);
    let data = pattern(60_000, 0);
    let (mut sent, mut fwd_cnt) = (0, 0);
    // Until the host has no room left: what it keeps itself is what it said.
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
        // It may have told of room by itself.
        while guest.machine.drivers[0].used().is_some() {
            guest.post(1);
        }
    }
    // The others go on.
    let (ports, program) = guest.connect(1001, 2);
    guest.send_data(ports, b"hello");
    assert_eq!(read(&program, 5), b"hello");
    // One byte more is too much.
    guest.send_data(deaf, b"x");
    guest.expect(deaf, Operation::Rst);
    drop(deaf_program);
}

/// The last bytes are still on their way when the guest has gone: they arrive.
#[test]
fn what_a_guest_sent_before_it_left_arrives() {
    for resets in [false, true] {
        let mut guest = Guest::new(16);
        let (ports, program) = guest.connect(1000, 1);
        let data = pattern(64 << 10, 3);
        let mut sent: Vec<u8> = Vec::new();
        // The kernel keeps some of it; the rest is the device's.
        while sent.len() < 1 << 20 {
            guest.send(ports, Operation::CreditRequest);
            let mut header = guest.receive().0;
            while header.operation() != Some(Operation::CreditUpdate) {
                header = guest.receive().0;
            }
            let room = ROOM - (u32::try_from(sent.len()).unwrap() - header.fwd_cnt.get());
            if (room as usize) < data.len() {
                break;
            }
            guest.send_data(ports, &data);
            sent.extend(&data);
        }
        match resets {
            true => guest.send(ports, Operation::Rst),
            false => guest.shutdown(ports, BOTH),
        }
        let (ports, other) = guest.connect_after(1000, 2);
        guest.send_data(ports, b"new");
        assert_eq!(read(&other, 3), b"new");
        assert!(read_to_end(&program) == sent);
    }
}

/// Each is answered by RST, or by nothing, and the next packet is heard.
#[test]
fn packets_that_make_no_sense() {
    let mut guest = Guest::new(16);
    let ports = Ports { guest: 9, host: 9 };
    let request = guest.header(ports, Operation::Request);

    // From somebody else.
    guest.send_packet(&Header { src_cid: 3.into(), ..request }, &[]);
    guest.send_packet(&Header { src_cid: (u64::from(CID) | 1 << 32).into(), ..request }, &[]);
    guest.send(ports, Operation::Rst);
    guest.expect_nothing();
    // Too short to be one.
    guest.machine.offer(TX, &[(PACKET, 43, 0)]);
    guest.wait_taken();
    guest.machine.offer(TX, &[(PACKET, 44, WRITE)]);
    guest.wait_taken();
    guest.expect_nothing();

    // To somebody else, who answers.
    guest.send_packet(&Header { dst_cid: 77.into(), ..request }, &[]);
    let (rst, _) = guest.receive();
    assert_eq!((rst.operation(), rst.src_cid.get()), (Some(Operation::Rst), 77));
    guest.send_packet(&Header { dst_cid: 77.into(), ..guest.header(ports, Operation::Rst) }, &[]);
    // Of another type: a sequence of packets, or none that there is.
    for socket_type in [0, 2, 0xffff] {
        guest.send_packet(&Header { socket_type: socket_type.into(), ..request }, &[]);
        let (rst, _) = guest.receive();
        assert_eq!((rst.operation(), rst.socket_type.get()), (Some(Operation::Rst), socket_type));
    }
    // Of no connection.
    use Operation::{CreditRequest, CreditUpdate, Response, Rw, Shutdown};
    for op in [Response, Shutdown, Rw, CreditUpdate, CreditRequest] {
        guest.send(ports, op);
        guest.expect(ports, Operation::Rst);
    }
    for op in [0, 8, 0xffff] {
        guest.send_packet(&Header { op: op.into(), ..request }, &[]);
        guest.expect(ports, Operation::Rst);
    }
}

#[test]
fn packets_that_make_no_sense_in_a_connection_end_it() {
    let mut guest = Guest::new(16);
    let ports = Ports { guest: 1000, host: 1 };
    let rw = Header { len: 5.into(), ..guest.header(ports, Operation::Rw) };
    let cases = [
        (guest.header(ports, Operation::Request), &b""[..]),
        (guest.header(ports, Operation::Response), b""),
        (Header { op: 0.into(), ..rw }, b""),
        (Header { op: 9.into(), ..rw }, b""),
        // More than there is, and more than there is room for.
        (rw, b"four"),
        (Header { len: u32::MAX.into(), ..rw }, b"four"),
        (Header { len: (ROOM + 1).into(), ..rw }, &[1; ROOM as usize + 1]),
    ];
    for (header, data) in cases {
        let (_, program) = guest.connect(1000, 1);
        guest.send_packet(&header, data);
        guest.expect(ports, Operation::Rst);
        assert_eq!(read_to_end(&program), b"", "{header:?}");
        guest.expect_nothing();
    }
    // Less than there is, or nothing at all, is fine.
    let (_, program) = guest.connect(1000, 1);
    guest.send_packet(&rw, b"five and more");
    guest.send_packet(&Header { len: 0.into(), ..rw }, b"");
    guest.shutdown(ports, 0);
    guest.expect_nothing();
    assert_eq!(read(&program, 5), b"five ");
}

#[test]
fn lines_that_do_not_connect() {
    let mut guest = Guest::new(16);
    for line in [&b"GET / HTTP/1.1\n"[..], b"CONNECT\n", b"CONNECT 4294967296\n", b"CONNECT +5\n"] {
        assert_eq!(read_to_end(&guest.program(line)), b"");
    }
    assert_eq!(read_to_end(&guest.program(&[b' '; 40])), b"", "it is too long");
    let program = guest.program(b"CONN");
    program.shutdown(Half::Write).unwrap();
    assert_eq!(read_to_end(&program), b"");
    guest.expect_nothing();

    // One may be slow, until too many are.
    let mut slow = guest.program(b"CON");
    let _others: Vec<_> = (1..MOST_GREETINGS).map(|_| guest.program(b"C")).collect();
    slow.write_all(b"NECT 1\n").unwrap();
    assert_eq!(guest.receive().0.operation(), Some(Operation::Request));
    let first = guest.program(b"CONNECT 2");
    let _others: Vec<_> = (0..MOST_GREETINGS).map(|_| guest.program(b"C")).collect();
    assert_eq!(read_to_end(&first), b"");
}

#[test]
fn there_are_only_so_many_connections() {
    let mut guest = Guest::new(16);
    let listener = guest.listen(1);
    let mut programs = Vec::new();
    for port in 0..u32::try_from(MOST_CONNECTIONS).unwrap() {
        let ports = Ports { guest: port, host: 1 };
        guest.send(ports, Operation::Request);
        guest.expect(ports, Operation::Response);
        programs.push(listener.accept().unwrap().0);
    }
    let ports = Ports { guest: 5000, host: 1 };
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Rst);
    assert_eq!(read_to_end(&guest.program(b"CONNECT 1\n")), b"");
    // One that ends makes room.
    guest.shutdown(Ports { guest: 0, host: 1 }, BOTH);
    guest.receive();
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Response);
}

/// Without buffers to answer by, no more is taken that needs answers; nothing is lost.
#[test]
fn a_guest_without_buffers_waits() {
    let mut guest = Guest::new(0);
    guest.reposts = false;
    let listener = guest.listen(1);
    let ports = Ports { guest: 1000, host: 1 };
    guest.send(ports, Operation::Request);
    let mut program = listener.accept().unwrap().0;
    program.write_all(&[7; 10_000]).unwrap();
    // Two that the guest never hears of.
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
    // A buffer that holds no packet is given back as it is.
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

#[test]
fn connections_survive_a_pause() {
    let mut guest = Guest::new(16);
    let (ports, mut program) = guest.connect(1000, 1);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(queues.len(), 3);
    program.write_all(b"meanwhile").unwrap();
    let waiting = guest.program(b"CONNECT 5\n");
    guest.machine.activate_on(queues, 0);
    let mut packets = [guest.receive(), guest.receive()];
    packets.sort_by_key(|(header, _)| header.op.get());
    assert_eq!(packets[0].0.operation(), Some(Operation::Request));
    assert_eq!(packets[1].1, b"meanwhile");
    guest.send_data(ports, b"after");
    assert_eq!(read(&program, 5), b"after");
    drop(waiting);
}

#[test]
fn a_reset_ends_connections_and_no_more() {
    let mut guest = Guest::new(16);
    let (ports, program) = guest.connect(1000, 1);
    let asked = guest.program(b"CONNECT 5\n");
    guest.receive();
    guest.machine.device.stop(Halt::Reset, LONG).unwrap();
    guest.machine.device.reset();
    assert_eq!(read_to_end(&program), b"");
    assert_eq!(read_to_end(&asked), b"");
    // One that comes too early waits for the next driver.
    let early = guest.program(b"CONNECT 5\n");
    guest.restart(16);
    let (request, _) = guest.receive();
    assert_eq!((request.operation(), request.dst_port.get()), (Some(Operation::Request), 5));
    guest.send_data(ports, b"who?");
    guest.expect(ports, Operation::Rst);
    drop(early);

    let path = guest.path();
    assert!(path.exists());
    drop(guest.machine);
    assert!(!path.exists());
}

#[test]
fn a_broken_ring_needs_a_reset_and_a_reset_mends_it() {
    let mut guest = Guest::new(16);
    for queue in [1, 0] {
        guest.machine.drivers[queue].offer(500);
        guest.machine.kick(u16::try_from(queue).unwrap());
        if queue == 0 {
            // They are used in order.
            for _ in 0..16 {
                guest.reposts = false;
                guest.send(Ports { guest: 7, host: 7 }, Operation::CreditRequest);
            }
            guest.machine.offer(TX, &[(PACKET, 44, 0)]);
        }
        while guest.machine.event() != Event::NeedsReset {}
        guest.machine.device.stop(Halt::Reset, LONG).unwrap();
        guest.machine.device.reset();
        guest.reposts = true;
        guest.restart(16);
        guest.expect_nothing();
    }
}

/// A driver need not enable all queues.
#[test]
fn a_device_without_all_its_queues_does_nothing() {
    let guest = &mut Guest::new(16);
    for kept in [0, 1, 2] {
        let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
        let one: Vec<_> = queues.into_iter().filter(|(index, _)| *index == kept).collect();
        guest.machine.activate_on(one, 0);
        guest.machine.kick(kept);
        assert_eq!(guest.machine.device.stop(Halt::Reset, LONG).unwrap().len(), 1);
        guest.machine.device.reset();
        guest.restart(16);
    }
}

#[test]
fn a_path_has_room_for_ports() {
    let folder = tempfile::TempDir::new().unwrap();
    let len = folder.path().as_os_str().len();
    let path = |all: usize| folder.path().join("x".repeat(all - len - 1));
    Host::listen(CID, &path(96)).unwrap();
    let error = Host::listen(CID, &path(97)).unwrap_err().to_string();
    assert!(error.contains("_4294967295: the path has 108 bytes"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a guest says, it is taken, and the next packet is heard.
    #[test]
    fn hostile_packets(packets in prop::collection::vec(
        (0..10_u16, 0..3_u32, 0..3_u32, 0..4_u32, prop_oneof![0..100_u32, any::<u32>()],
            prop_oneof![Just(1000_u32), any::<u32>()], prop_oneof![Just(0_u32), any::<u32>()], 0..100_usize),
        1..40,
    )) {
        let mut guest = Guest::new(64);
        let listener = guest.listen(1);
        listener.set_nonblocking(true).unwrap();
        let mut programs: Vec<UnixStream> = vec![guest.program(b"CONNECT 1\nhello")];
        for (op, from, to, flags, len, buf_alloc, fwd_cnt, bytes) in packets {
            let ports = Ports { guest: from, host: if to == 2 { 1 << 30 } else { to } };
            let header = Header {
                op: op.into(),
                flags: flags.into(),
                len: if bytes < 50 { u32::try_from(bytes).unwrap().into() } else { len.into() },
                buf_alloc: buf_alloc.into(),
                fwd_cnt: fwd_cnt.into(),
                ..guest.header(ports, Operation::Rw)
            };
            guest.send_packet(&header, &vec![3; bytes]);
            while let Ok((mut program, _)) = listener.accept() {
                let _ = program.write(b"some words");
                programs.push(program);
            }
            if bytes % 7 == 0 {
                let _ = programs.pop().map(|mut program| program.write(b"bye"));
            }
            while guest.machine.drivers[0].used().is_some() {
                guest.post(1);
            }
        }
        let nobody = Ports { guest: 77, host: 77 };
        guest.send(nobody, Operation::CreditRequest);
        while guest.receive().0.dst_port.get() != 77 {}
    }
}
