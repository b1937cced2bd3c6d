use std::{io::Write, os::unix::net::UnixStream};

use proptest::prelude::*;

use super::*;
use crate::virtio::{
    queue::test_driver::WRITE,
    vsock::{
        connection::ROOM,
        test_guest::{CID, Guest, PACKET, TX, read, read_to_end},
    },
};

/// Each is answered by RST, or not at all, and the next packet is handled.
#[test]
fn packets_that_make_no_sense() {
    let mut guest = Guest::new(16);
    let ports = Ports { guest: 9, host: 9 };
    let request = guest.header(ports, Operation::Request);

    // From another CID.
    guest.send_packet(&Header { src_cid: 3.into(), ..request }, &[]);
    guest.send_packet(&Header { src_cid: (u64::from(CID) | 1 << 32).into(), ..request }, &[]);
    guest.send(ports, Operation::Rst);
    guest.expect_nothing();
    // Too short for a packet.
    guest.machine.offer(TX, &[(PACKET, 43, 0)]);
    guest.wait_taken();
    guest.machine.offer(TX, &[(PACKET, 44, WRITE)]);
    guest.wait_taken();
    guest.expect_nothing();

    // To another CID; it is answered.
    guest.send_packet(&Header { dst_cid: 77.into(), ..request }, &[]);
    let (rst, _) = guest.receive();
    assert_eq!((rst.operation(), rst.src_cid.get()), (Some(Operation::Rst), 77));
    guest.send_packet(&Header { dst_cid: 77.into(), ..guest.header(ports, Operation::Rst) }, &[]);
    // Of another type: SEQPACKET, or an unknown one.
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
        // More data than there is, and more than there is room for.
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
    // Less data than announced, or none at all, is fine.
    let (_, program) = guest.connect(1000, 1);
    guest.send_packet(&rw, b"five and more");
    guest.send_packet(&Header { len: 0.into(), ..rw }, b"");
    guest.shutdown(ports, 0);
    guest.expect_nothing();
    assert_eq!(read(&program, 5), b"five ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any packet of a guest is taken, and the next packet is handled.
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
