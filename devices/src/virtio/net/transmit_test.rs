use std::{sync::atomic::Ordering, thread, time::Duration};

use proptest::prelude::*;
use virtio_queue::QueueT;

use super::*;
use crate::{
    net::HEADER_LEN,
    testing::said_by,
    virtio::{
        device::{Halt, VirtioDevice},
        net::{
            counters::Total,
            features::VERSION_1,
            test_guest::{Guest, TX, frame, options, wait_until},
        },
        queue::test_driver::any_table,
        serve::RING_FEATURES,
        test_machine::{Event, LONG},
    },
};

/// The next frame received by the host.
fn sent(guest: &Guest) -> Vec<u8> {
    let mut frame = None;
    wait_until(|| {
        frame = guest.network.test_port(0).take();
        frame.is_some()
    });
    frame.unwrap()
}

#[test]
fn frames_go_as_the_guest_has_them() {
    let mut guest = Guest::start(0);
    for flags in [0, 1] {
        for gso_type in [0, 1, 3, 4, 5, 0x81, 0x84, 0xff] {
            let header = [flags, gso_type, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0];
            let packet = frame(&header, 200, 3);
            for lens in [&[212][..], &[12, 200], &[12, 14, 186], &[5, 6, 7, 194], &[1; 212]] {
                guest.send(TX, &packet, lens);
                assert_eq!(sent(&guest), packet);
            }
        }
    }
    guest.wait_for_used(TX);
    assert_eq!(guest.totals().sent, Total { frames: 80, bytes: 80 * 200, ..Total::default() });
}

#[test]
fn frames_of_any_length_go_and_others_are_dropped() {
    let mut guest = Guest::start(RING_FEATURES);
    for len in [14, 60, 1514, 9000, 65_535 + 18] {
        let packet = frame(&[], len, 9);
        guest.send(TX, &packet, &[12, u32::try_from(len).unwrap()]);
        assert_eq!(sent(&guest), packet);
        // In more pieces than the kernel accepts.
        let pieces = u32::try_from(packet.len()).unwrap();
        let mut lens = vec![1; packet.len().min(1000) - 1];
        lens.push(pieces - u32::try_from(lens.len()).unwrap());
        guest.send(TX, &packet, &lens);
        assert_eq!(sent(&guest), packet);
    }
    for len in [1, 11, 12, 12 + 13, LONGEST + 1, 1 << 20] {
        guest.send(TX, &vec![0; len], &[u32::try_from(len).unwrap()]);
    }
    guest.wait_for_used(TX);
    assert_eq!((guest.totals().sent.frames, guest.totals().sent.malformed), (10, 6));
    assert_eq!(guest.network.test_port(0).take(), None);
}

/// The other frames stay in the queue, and neither a pause nor a reset waits for the peer.
#[test]
fn a_peer_that_never_reads_holds_up_nothing_else() {
    const FRAMES: u16 = 250;
    let mut guest = Guest::start(0);
    let numbered = |n: u16| frame(&[], 4000 + usize::from(n), 5);
    for n in 0..FRAMES {
        guest.send(TX, &numbered(n), &[4012 + u32::from(n)]);
    }
    let port = Arc::clone(&guest.network);
    let sends = || port.test_port(0).sends.load(Ordering::SeqCst);
    let mut before = 0;
    wait_until(|| {
        thread::sleep(Duration::from_millis(20));
        std::mem::replace(&mut before, sends()) == sends() && before > 0
    });
    assert!(guest.totals().sent.frames < FRAMES.into());
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    let queue = &queues[1].1;
    assert_eq!(queue.next_avail(), queue.next_used(), "what is not sent is not taken");
    guest.machine.activate_on(queues, VERSION_1);
    for n in 0..FRAMES {
        assert_eq!(sent(&guest), numbered(n));
    }
    guest.wait_for_used(TX);
    assert_eq!(guest.totals().sent.frames, u64::from(FRAMES));
    assert_eq!(guest.totals().sent.dropped(), 0);

    for n in 0..FRAMES {
        guest.send(TX, &numbered(n), &[4012 + u32::from(n)]);
    }
    assert!(guest.machine.device.stop(Halt::Reset, LONG).is_some());
}

#[test]
fn frames_that_the_host_refuses_are_dropped() {
    let mut guest = Guest::start(0);
    for errno in [libc::EINVAL, libc::EIO, libc::ENOBUFS] {
        guest.network.test_port(0).send_fails.store(errno, Ordering::SeqCst);
        guest.send(TX, &frame(&[], 100, 0), &[112]);
        guest.wait_for_used(TX);
    }
    guest.network.test_port(0).send_fails.store(0, Ordering::SeqCst);
    assert_eq!(guest.totals().sent, Total { refused: 3, ..Total::default() });
    guest.send(TX, &frame(&[], 100, 8), &[112]);
    assert_eq!(sent(&guest), frame(&[], 100, 8));
}

#[test]
fn refusals_are_logged_once() {
    let guest = Guest::new(options(), crate::net::Offloads::all());
    let transmit = Transmit::new(0, Arc::clone(&guest.network) as _, guest.lasting.clone(), HEADER_LEN);
    let driver = crate::virtio::queue::test_driver::Driver::new(8);
    let memory = driver.memory.clone();
    let said = said_by(|| {
        for errno in [libc::EINVAL, libc::EIO, libc::EIO, libc::EPERM] {
            guest.network.test_port(0).send_fails.store(errno, Ordering::SeqCst);
            let mut driver = driver.of_queue(0);
            driver.restart();
            driver.chain(&[(crate::virtio::queue::test_driver::FREE, 100, 0)]);
            let chain = driver.rings(&memory).pop().unwrap().unwrap();
            assert!(transmit.send(guest.network.test_port(0), &chain.readable, &Stop::default()));
        }
    });
    assert_eq!(said, ["net test: frames of the guest can't be sent: Input/output error (os error 5)"]);
}

#[test]
fn frames_are_dropped_while_the_link_is_down() {
    let mut guest = Guest::start(0);
    guest.lasting.set_link(false);
    guest.send(TX, &frame(&[], 100, 0), &[112]);
    guest.wait_for_used(TX);
    assert_eq!(guest.totals().sent, Total { link_down: 1, ..Total::default() });
    guest.lasting.set_link(true);
    guest.send(TX, &frame(&[], 100, 1), &[112]);
    assert_eq!(sent(&guest), frame(&[], 100, 1));
}

#[test]
fn the_driver_is_interrupted_for_sent_frames_on_request() {
    let mut guest = Guest::start(0);
    guest.send(TX, &frame(&[], 100, 0), &[112]);
    assert_eq!(guest.machine.event(), Event::Used(TX));
    guest.machine.drivers[1].set_avail_flags(1);
    guest.send(TX, &frame(&[], 100, 0), &[112]);
    guest.wait_for_used(TX);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    guest.machine.drivers[1].set_avail_flags(0);
    guest.machine.activate_on(queues, VERSION_1);
    guest.send(TX, &frame(&[], 100, 0), &[112]);
    assert_eq!(guest.machine.event(), Event::Used(TX));
    assert_eq!(guest.totals().sent.frames, 3, "it heard of none between");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any rings, each chain is given back or the device needs a reset.
    #[test]
    fn hostile_chains(table in any_table(8), heads in prop::collection::vec(0..9_u16, 1..8)) {
        let mut guest = Guest::start(0);
        for queue in 0..3 {
            let driver = &mut guest.machine.drivers[queue];
            for (index, &descriptor) in (0..).zip(&table) {
                driver.describe_own(index, descriptor);
            }
            heads.iter().for_each(|&head| driver.offer(head));
        }
        (0..3).for_each(|queue| guest.machine.kick(queue));
        let (mut used, mut broken) = (0, false);
        wait_until(|| {
            while guest.machine.drivers[1].used().is_some() {
                used += 1;
            }
            while guest.network.test_port(0).take().is_some() {}
            broken |= guest.machine.try_event() == Some(Event::NeedsReset);
            used == heads.len() || broken
        });
        guest.machine.device.reset();
    }

    #[test]
    fn any_chain_sends_its_frame(
        cuts in prop::collection::vec(1_u32..400, 1..30),
        ring in any::<bool>(),
    ) {
        let mut guest = Guest::start(if ring { RING_FEATURES } else { 0 });
        let len = cuts.iter().sum::<u32>() as usize;
        if len < HEADER_LEN {
            return Ok(());
        }
        let packet = frame(&[1, 1, 2, 3], len - HEADER_LEN, 6);
        guest.send(TX, &packet, &cuts);
        guest.wait_for_used(TX);
        let expected = (len >= HEADER_LEN + SHORTEST).then_some(packet);
        prop_assert_eq!(guest.network.test_port(0).take(), expected);
    }
}
