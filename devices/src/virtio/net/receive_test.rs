use std::{sync::atomic::Ordering, thread, time::Duration};

use proptest::prelude::*;
use virtio_queue::QueueT;

use super::*;
use crate::virtio::{
    device::{Halt, VirtioDevice},
    net::{
        NetOptions,
        counters::Total,
        features::{CTRL_RX, CTRL_VQ, VERSION_1},
        test_guest::{Guest, RX, TX, frame, in_chains, options, wait_until},
    },
    serve::RING_FEATURES,
    test_machine::{Event, LONG},
};

const CSUM: u64 = 1 << 1;
const TSO4: u64 = 1 << 7;
const TSO6: u64 = 1 << 8;
const ECN: u64 = 1 << 9;
const UFO: u64 = 1 << 10;
const USO: u64 = 1 << 54 | 1 << 55;

#[test]
fn frames_come_as_the_host_has_them() {
    for features in [0, MRG_RXBUF, RING_FEATURES, RING_FEATURES | MRG_RXBUF] {
        let mut guest = Guest::start(features);
        for (len, seed) in [(14, 1), (60, 2), (1514, 3), (1988, 4)] {
            guest.post(RX, &[&[2000]]);
            let sent = frame(&[], len, seed);
            guest.network.test_port(0).put(&sent);
            assert_eq!(guest.receive(RX), in_chains(sent, 1), "{features:#x}");
        }
        // Frames are counted after they have been passed on.
        wait_until(|| guest.totals().received.frames == 4);
        let received = guest.totals().received;
        assert_eq!(received, Total { frames: 4, bytes: 14 + 60 + 1514 + 1988, ..Total::default() });
    }
}

#[test]
fn a_long_frame_is_spread_over_buffers_if_the_driver_can_merge_them() {
    let mut guest = Guest::start(MRG_RXBUF);
    for round in 0..3 {
        for len in [1400, 1401, 9000, 65_535 + 18] {
            let sent = frame(&[], len, round);
            let chains = sent.len().div_ceil(1412);
            guest.post(RX, &vec![&[12, 1400][..]; chains]);
            guest.network.test_port(0).put(&sent);
            assert_eq!(guest.receive(RX), in_chains(sent, u16::try_from(chains).unwrap()));
        }
    }
    wait_until(|| guest.totals().received.frames == 12);

    let mut guest = Guest::start(0);
    guest.post(RX, &[&[12, 1500]]);
    guest.network.test_port(0).put(&frame(&[], 1501, 0));
    guest.network.test_port(0).put(&frame(&[], 1500, 0));
    assert_eq!(guest.receive(RX), in_chains(frame(&[], 1500, 0), 1));
    assert_eq!(guest.totals().received.no_room, 1);
}

/// A driver may see the first chain of a frame at any time: the others must be there by then.
#[test]
fn all_of_a_frame_is_given_at_once() {
    let mut guest = Guest::start(MRG_RXBUF);
    thread::scope(|scope| {
        let network = Arc::clone(&guest.network);
        let frames = 0..=250;
        let sent = frames.clone();
        scope.spawn(move || {
            for round in sent {
                network.test_port(0).put(&frame(&[], 9000, round));
            }
        });
        for round in frames {
            guest.post(RX, &[&[600][..]; 16]);
            // In a loop without a pause, so that it happens in between.
            let received = loop {
                if let Some(received) = guest.try_receive(RX) {
                    break received;
                }
            };
            assert_eq!(received, in_chains(frame(&[], 9000, round), 16));
        }
    });
}

#[test]
fn every_header_comes_if_its_offloads_were_agreed_on() {
    let subsets = [
        (0, Offloads::empty()),
        (TSO4, Offloads::empty()),
        (CSUM, Offloads::CSUM),
        (CSUM | TSO4, Offloads::CSUM | Offloads::TSO4),
        (CSUM | TSO6 | ECN, Offloads::CSUM | Offloads::TSO6 | Offloads::ECN),
        (CSUM | UFO | ECN, Offloads::CSUM | Offloads::UFO),
        (CSUM | USO, Offloads::CSUM | Offloads::USO),
        (CSUM | TSO4 | TSO6 | ECN | UFO | USO, Offloads::all()),
    ];
    let needs = [
        (0, Offloads::empty()),
        (1, Offloads::TSO4),
        (3, Offloads::UFO),
        (4, Offloads::TSO6),
        (5, Offloads::USO),
        (0x81, Offloads::TSO4 | Offloads::ECN),
        (0x84, Offloads::TSO6 | Offloads::ECN),
    ];
    for (features, offloads) in subsets {
        let mut guest = Guest::start(features);
        assert_eq!(*guest.network.given.lock().unwrap(), [offloads]);
        let mut dropped = 0;
        for flags in 0..4 {
            for (gso_type, needed) in needs.into_iter().chain([(2, Offloads::all()), (0x7f, Offloads::all())])
            {
                let csum = if flags & 1 != 0 { Offloads::CSUM } else { Offloads::empty() };
                let known = gso_type != 2 && gso_type != 0x7f;
                let sent = frame(&[flags, gso_type, 54, 0, 100, 0, 34, 0, 16, 0, 0xff, 0xff], 100, 7);
                guest.network.test_port(0).put(&sent);
                if !known || !offloads.contains(needed | csum) {
                    dropped += 1;
                    continue;
                }
                guest.post(RX, &[&[1000]]);
                let mut expected = in_chains(sent, 1);
                if !offloads.contains(Offloads::CSUM) {
                    expected[0] = 0;
                }
                assert_eq!(guest.receive(RX), expected, "{features:#x}, {flags}, {gso_type:#x}");
            }
        }
        guest.post(RX, &[&[1000]]);
        wait_until(|| guest.totals().received.malformed == dropped);
    }
}

/// The device doesn't read frames that it can't pass on, and doesn't spin while it waits.
#[test]
fn a_device_without_buffers_leaves_frames_with_the_host() {
    for features in [MRG_RXBUF, MRG_RXBUF | RING_FEATURES] {
        let mut guest = Guest::start(features);
        guest.post(RX, &[&[1000]]);
        for seed in 0..20 {
            guest.network.test_port(0).put(&frame(&[], 100, seed));
        }
        assert_eq!(guest.receive(RX), in_chains(frame(&[], 100, 0), 1));
        let receives = guest.receives();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(receives, guest.receives());
        for seed in 1..20 {
            guest.post(RX, &[&[1000]]);
            assert_eq!(guest.receive(RX), in_chains(frame(&[], 100, seed), 1));
        }
        // A frame longer than the available buffers also waits, without using processor time.
        guest.network.test_port(0).put(&frame(&[], 2500, 1));
        let receives = guest.receives();
        guest.post(RX, &[&[1000]]);
        wait_until(|| guest.receives() > receives);
        let receives = guest.receives();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(receives, guest.receives());
        guest.post(RX, &[&[1000][..]; 2]);
        assert_eq!(guest.receive(RX), in_chains(frame(&[], 2500, 1), 3));
    }
}

#[test]
fn a_driver_with_enough_buffers_need_not_kick() {
    let mut guest = Guest::start(MRG_RXBUF);
    guest.post(RX, &[&[1000][..]; 64]);
    let driver = &guest.machine.drivers[0];
    let flags = driver.avail_event().0 - 4 - 8 * 256;
    for seed in 0..60 {
        guest.network.test_port(0).put(&frame(&[], 900, seed));
        assert_eq!(guest.receive(RX), in_chains(frame(&[], 900, seed), 1));
        assert_eq!(guest.machine.drivers[0].read(flags, 2), [1, 0], "VIRTQ_USED_F_NO_NOTIFY");
    }
    for seed in 60..64 {
        guest.network.test_port(0).put(&frame(&[], 900, seed));
        guest.receive(RX);
    }
    wait_until(|| guest.machine.drivers[0].read(flags, 2) == [0, 0]);
}

#[test]
fn a_frame_that_fits_no_ring_is_dropped() {
    let options = NetOptions { queue_size: 4, ..options() };
    let mut guest = Guest::new(options, Offloads::all());
    guest.restart(MRG_RXBUF);
    guest.post(RX, &[&[100][..]; 4]);
    guest.network.test_port(0).put(&frame(&[], 500, 1));
    guest.network.test_port(0).put(&frame(&[], 388, 2));
    assert_eq!(guest.receive(RX), in_chains(frame(&[], 388, 2), 4));
    assert_eq!(guest.totals().received.no_room, 1);
    // Chains of two descriptors, a third of which don't fit.
    guest.restart(MRG_RXBUF);
    guest.post(RX, &[&[100, 20]]);
    guest.network.test_port(0).put(&frame(&[], 500, 1));
    guest.post(RX, &[&[100, 20]]);
    guest.network.test_port(0).put(&frame(&[], 200, 2));
    assert_eq!(guest.receive(RX), in_chains(frame(&[], 200, 2), 2));
    assert_eq!(guest.totals().received.no_room, 2);
}

#[test]
fn the_driver_is_interrupted_for_frames_on_request() {
    let mut guest = Guest::start(MRG_RXBUF);
    guest.post(RX, &[&[1000][..]; 3]);
    guest.network.test_port(0).put(&frame(&[], 100, 0));
    assert_eq!(guest.machine.event(), Event::Used(RX));
    guest.machine.drivers[0].set_avail_flags(1);
    guest.network.test_port(0).put(&frame(&[], 100, 1));
    wait_until(|| guest.totals().received.frames == 2);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    guest.machine.drivers[0].set_avail_flags(0);
    guest.machine.activate_on(queues, VERSION_1 | MRG_RXBUF);
    guest.network.test_port(0).put(&frame(&[], 100, 2));
    assert_eq!(guest.machine.event(), Event::Used(RX));
    assert_eq!(guest.totals().received.frames, 3, "it heard of none between");
}

/// Of the frames in progress at a pause, only one that waits for buffers is dropped, and counted.
#[test]
fn pauses_lose_no_frame() {
    const FRAMES: u16 = 400;
    for features in [0, MRG_RXBUF | RING_FEATURES] {
        let mut guest = Guest::start(features);
        let numbered = |n: u16| {
            let len = if features == 0 { 60 + usize::from(n) } else { 60 + usize::from(n) * 20 };
            let mut sent = frame(&[], len, 0);
            sent[26..28].copy_from_slice(&n.to_le_bytes());
            sent
        };
        thread::scope(|scope| {
            let network = Arc::clone(&guest.network);
            scope.spawn(move || (0..FRAMES).for_each(|n| network.test_port(0).put(&numbered(n))));
            let (mut received, mut next) = (0, 0);
            while received + guest.totals().received.no_room < FRAMES.into() {
                let posted = guest.posted(RX);
                guest.post(RX, &vec![&[1000][..]; 60 - posted]);
                guest.machine.pause_and_resume(VERSION_1 | features);
                while let Some(frame) = guest.try_receive(RX) {
                    let n = u16::from_le_bytes([frame[26], frame[27]]);
                    assert!(n >= next, "{n} comes behind {next}");
                    assert_eq!(frame[12..], numbered(n)[12..]);
                    (received, next) = (received + 1, n + 1);
                }
            }
        });
        assert_eq!(guest.totals().received.dropped(), guest.totals().received.no_room);
        let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
        assert_eq!(queues[0].1.next_avail(), queues[0].1.next_used(), "what was held is put back");
    }
}

#[test]
fn a_host_that_is_gone_takes_the_link_down() {
    let mut guest = Guest::start(MRG_RXBUF);
    assert_eq!(guest.status(), 1);
    guest.post(RX, &[&[1000]]);
    guest.network.test_port(0).close();
    assert_eq!(guest.machine.event(), Event::ConfigChanged);
    assert_eq!(guest.status(), 0);
    let receives = guest.receives();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(guest.receives(), receives, "it is left alone");
    guest.lasting.set_link(true);
    assert_eq!(guest.status(), 0, "nobody can take it up");
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(queues[0].1.next_avail(), 0);
    // As with a deleted tap: a driver that starts anew still has a device, whose frames are dropped.
    guest.network.refuses.store(libc::EBADFD, Ordering::SeqCst);
    guest.restart(0);
    guest.post(RX, &[&[1000]]);
    assert_eq!(guest.status(), 0);
    guest.send(TX, &frame(&[], 100, 1), &[112]);
    guest.wait_for_used(TX);
    assert_eq!(guest.totals().sent.link_down, 1);
}

#[test]
fn a_host_that_is_gone_before_the_driver_starts_takes_the_link_down() {
    let mut guest = Guest::new(options(), Offloads::all());
    guest.network.refuses.store(libc::EBADFD, Ordering::SeqCst);
    guest.restart(0);
    assert_eq!(guest.machine.event(), Event::ConfigChanged);
    assert_eq!(guest.status(), 0);
}

#[test]
fn frames_are_dropped_while_the_link_is_down() {
    let mut guest = Guest::start(MRG_RXBUF);
    guest.post(RX, &[&[1000][..]; 2]);
    guest.lasting.set_link(false);
    assert!(guest.machine.device.measure().unwrap());
    assert!(!guest.machine.device.measure().unwrap());
    assert_eq!(guest.status(), 0);
    for seed in 0..10 {
        guest.network.test_port(0).put(&frame(&[], 100, seed));
    }
    wait_until(|| guest.totals().received.link_down == 10);
    assert_eq!(guest.used(RX), None);
    guest.lasting.set_link(true);
    assert!(guest.machine.device.measure().unwrap());
    assert_eq!(guest.status(), 1);
    guest.network.test_port(0).put(&frame(&[], 100, 77));
    assert_eq!(guest.receive(RX), in_chains(frame(&[], 100, 77), 1));
}

#[test]
fn a_driver_gets_the_addresses_that_it_asks_for() {
    let mut guest = Guest::start(MRG_RXBUF | CTRL_VQ | CTRL_RX);
    guest.post(RX, &[&[1000][..]; 8]);
    let to = |address: [u8; 6]| {
        let mut frame = frame(&[], 100, 1);
        frame[12..18].copy_from_slice(&address);
        frame
    };
    let (own, other) = (options().mac.0, [2, 9, 9, 9, 9, 9]);
    guest.network.test_port(0).put(&to(other));
    assert_eq!(guest.receive(RX), in_chains(to(other), 1), "at first all of them");
    assert_eq!(guest.command(2, &[0, 0, 0]), 0);
    for address in [other, own] {
        guest.network.test_port(0).put(&to(address));
    }
    assert_eq!(guest.receive(RX), in_chains(to(own), 1));
    assert_eq!(guest.totals().received.unwanted, 1);
    assert_eq!(guest.totals().received.dropped(), 0, "it was for others");
}

#[test]
fn frames_that_are_none_are_dropped() {
    let mut guest = Guest::start(MRG_RXBUF);
    guest.post(RX, &[&[1000]]);
    for len in [1, 11, 12, 25] {
        guest.network.test_port(0).put(&vec![0; len]);
    }
    wait_until(|| guest.totals().received.malformed == 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// For any buffers and frames, each frame arrives whole and in order, or is counted as dropped.
    #[test]
    fn any_buffers_hold_frames(
        mergeable in any::<bool>(),
        ring in any::<bool>(),
        chains in prop::collection::vec(prop::collection::vec(1_u32..3000, 1..4), 1..40),
        lens in prop::collection::vec(prop_oneof![14_usize..100, 14_usize..9000, Just(65_553)], 1..12),
    ) {
        let features = if mergeable { MRG_RXBUF } else { 0 } | if ring { RING_FEATURES } else { 0 };
        let mut guest = Guest::start(features);
        let chains: Vec<_> = chains.iter().map(|lens| &lens[..]).collect();
        guest.post(RX, &chains);
        // As many as the host can buffer.
        let port = guest.network.test_port(0);
        let put = (0..).zip(&lens).take_while(|&(seed, &len)| port.try_put(&frame(&[], len, seed)));
        let lens: Vec<_> = put.map(|(_, &len)| len).collect();
        // The device takes as many as possible: without another buffer, nothing more happens.
        let expected = expect(mergeable, &chains, &lens);
        for (seed, count) in expected {
            prop_assert_eq!(guest.receive(RX), in_chains(frame(&[], lens[usize::from(seed)], seed), count));
        }
        guest.machine.device.stop(Halt::Reset, LONG).unwrap();
        prop_assert_eq!(guest.used(RX), None);
    }
}

/// The frames that arrive, and their numbers of chains, until one has to wait.
fn expect(mergeable: bool, chains: &[&[u32]], lens: &[usize]) -> Vec<(u8, u16)> {
    let mut chains = chains.iter().map(|lens| lens.iter().sum::<u32>() as usize);
    let mut expected = Vec::new();
    let mut next = chains.next();
    for (seed, &len) in (0..).zip(lens) {
        let Some(mut room) = next else { break };
        let (len, mut count) = (len + HEADER_LEN, 1);
        if mergeable {
            while room < len {
                let Some(more) = chains.next() else { return expected };
                (room, count) = (room + more, count + 1);
            }
        } else if room < len {
            continue;
        }
        expected.push((seed, count));
        next = chains.next();
    }
    expected
}
