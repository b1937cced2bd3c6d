use std::{
    io::{ErrorKind, Write},
    net::Shutdown as Half,
};

use super::*;
use crate::virtio::vsock::{
    connection::ROOM,
    packet::Shutdown,
    test_guest::{Guest, pattern, read, read_to_end},
};

const BOTH: u32 = 3;

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

    // Another connection has another port, even to another port of the guest.
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
fn a_port_without_a_listener_does_not_answer() {
    let mut guest = Guest::new(16);
    let ports = Ports { guest: 1, host: 2 };
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Rst);
    // There was a listener once.
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

    // One may be slow, until there are too many.
    let mut slow = guest.program(b"CON");
    let _others: Vec<_> = (1..MOST_GREETINGS).map(|_| guest.program(b"C")).collect();
    slow.write_all(b"NECT 1\n").unwrap();
    assert_eq!(guest.receive().0.operation(), Some(Operation::Request));
    let first = guest.program(b"CONNECT 2");
    let _others: Vec<_> = (0..MOST_GREETINGS).map(|_| guest.program(b"C")).collect();
    assert_eq!(read_to_end(&first), b"");
}

/// Programs that send constantly don't delay the data of others.
#[test]
fn each_connection_gets_its_turn() {
    // Only three receive buffers, so that all data waits until there are more.
    let mut guest = Guest::new(3);
    guest.reposts = false;
    let mut programs: Vec<_> = (0..3).map(|number| guest.connect(1000 + number, 52).1).collect();
    for program in &mut programs {
        program.write_all(&pattern(40 << 10, 1)).unwrap();
    }
    guest.post(12);
    let order: Vec<_> = (0..12).map(|_| guest.receive().0.dst_port.get()).collect();
    for turn in order.chunks(3) {
        let mut turn = turn.to_vec();
        turn.sort_unstable();
        assert_eq!(turn, [1000, 1001, 1002], "{order:?}");
    }
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
    // A connection that ends makes room.
    guest.shutdown(Ports { guest: 0, host: 1 }, BOTH);
    guest.receive();
    guest.send(ports, Operation::Request);
    guest.expect(ports, Operation::Response);
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
                // No program takes it, and that is not the guest's mistake.
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

/// The last bytes are still in flight when the guest has closed: they arrive.
#[test]
fn data_sent_before_the_guest_left_arrives() {
    for resets in [false, true] {
        let mut guest = Guest::new(16);
        let (ports, program) = guest.connect(1000, 1);
        let data = pattern(64 << 10, 3);
        let mut sent: Vec<u8> = Vec::new();
        // The kernel buffers some of it; the device holds the rest.
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
    // That is all: the guest learns that the data has arrived.
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
    // The guest had said that it would send no more.
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
