use std::{io::Write, path::Path};

use super::{
    packet::{Operation, Ports},
    test_guest::{CID, Guest, PACKET, TX, read, read_to_end},
    *,
};
use crate::{
    state::testing::{load, saved},
    virtio::{
        queue::test_driver::WRITE,
        test_machine::{Event, LONG},
    },
};

/// The queue of events.
const EVENT: u16 = 2;

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
    // A program that connects too early waits for the next driver.
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
fn a_driver_in_another_machine_learns_that_its_connections_are_gone() {
    let mut guest = Guest::new(16);
    guest.machine.offer(EVENT, &[(PACKET, 4, WRITE)]);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(guest.machine.drivers[usize::from(EVENT)].used(), None);
    let state = saved(&guest.machine.device);
    load(&mut guest.machine.device, &state).unwrap();
    guest.machine.activate_on(queues, 0);
    while guest.machine.event() != Event::Used(EVENT) {}
    assert_eq!(guest.machine.drivers[usize::from(EVENT)].used(), Some((0, 4)));
    guest.expect_nothing();
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
