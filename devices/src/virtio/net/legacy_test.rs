//! Drivers from before virtio 1.0.

use std::sync::atomic::Ordering;

use super::{
    counters::Total,
    features::{CTRL_MAC_ADDR, CTRL_RX, CTRL_VQ, MRG_RXBUF, VERSION_1},
    test_guest::{Guest, RX, TX, frame, in_chains, options, wait_until},
    test_network::TestNetwork,
    *,
};
use crate::{
    net::{HEADER_LEN, LEGACY_HEADER_LEN, LONGEST, Offloads},
    virtio::{serve::RING_FEATURES, test_vhost::TestVhost},
};

/// A frame of `len` bytes after a header without `num_buffers`.
fn legacy_frame(len: usize, seed: u8) -> Vec<u8> {
    let mut frame = frame(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8], len, seed);
    frame.drain(LEGACY_HEADER_LEN..HEADER_LEN);
    frame
}

fn header_len(guest: &Guest) -> usize {
    guest.network.header_len.load(Ordering::SeqCst)
}

fn legacy(features: u64) -> Guest {
    let mut guest = Guest::new(NetOptions { legacy: true, ..options() }, Offloads::all());
    guest.restart_legacy(features);
    guest
}

fn sent(guest: &Guest) -> Vec<u8> {
    let mut frame = None;
    wait_until(|| {
        frame = guest.network.test_port(0).take();
        frame.is_some()
    });
    frame.unwrap()
}

fn mac(guest: &Guest) -> [u8; 6] {
    let mut mac = [0; 6];
    guest.machine.device.read_config(0, &mut mac);
    mac
}

#[test]
fn a_device_is_for_legacy_drivers_if_that_is_wanted() {
    let guest = |legacy| Guest::new(NetOptions { legacy, ..options() }, Offloads::all());
    assert_eq!(guest(true).machine.device.transitional_id(), Some(0x1000));
    assert_eq!(guest(false).machine.device.transitional_id(), None);
}

#[test]
fn frames_have_the_short_header_unless_buffers_are_merged() {
    for features in [0, RING_FEATURES] {
        let mut guest = legacy(features);
        assert_eq!(header_len(&guest), LEGACY_HEADER_LEN);
        for (n, lens) in [&[10, 60][..], &[70], &[3, 7, 1, 59], &[9, 61]].into_iter().enumerate() {
            let frame = legacy_frame(60, u8::try_from(n).unwrap());
            guest.send(TX, &frame, lens);
            assert_eq!(sent(&guest), frame);
        }
        // Nothing is written where num_buffers would be.
        guest.post(RX, &[&[10, 1514], &[1524], &[11, 1, 1512]]);
        for n in 0..3 {
            let mut frame = legacy_frame(1514, n);
            frame[10..16].fill(0xff);
            guest.network.test_port(0).put(&frame);
            let mut received = None;
            wait_until(|| {
                received = guest.used(RX);
                received.is_some()
            });
            assert!(received.unwrap() == frame, "{n}");
        }
        let bytes = |frames, bytes| Total { frames, bytes, ..Total::default() };
        assert_eq!(guest.totals().sent, bytes(4, 240));
        assert_eq!(guest.totals().received, bytes(3, 3 * 1514));
    }
    let mut guest = legacy(MRG_RXBUF);
    assert_eq!(header_len(&guest), HEADER_LEN);
    guest.post(RX, &[&[100], &[100]]);
    let mut merged = frame(&[], 150, 1);
    merged[12..18].fill(0xff);
    guest.network.test_port(0).put(&merged);
    assert!(guest.receive(RX) == in_chains(merged, 2));
    // The next driver is a modern one.
    guest.restart(0);
    assert_eq!(header_len(&guest), HEADER_LEN);
}

#[test]
fn invalid_frames_after_a_short_header_are_dropped() {
    let mut guest = legacy(0);
    for (len, seed) in [(0, 1), (13, 2)] {
        let frame = legacy_frame(len, seed);
        guest.send(TX, &frame, &[u32::try_from(frame.len()).unwrap()]);
    }
    let longest = legacy_frame(LONGEST - LEGACY_HEADER_LEN + 1, 3);
    guest.send(TX, &longest, &[u32::try_from(longest.len()).unwrap()]);
    guest.send(TX, &[1, 2, 3], &[3]);
    guest.wait_for_used(TX);
    let shortest = legacy_frame(14, 4);
    guest.send(TX, &shortest, &[24]);
    assert_eq!(sent(&guest), shortest);
    assert_eq!((guest.totals().sent.frames, guest.totals().sent.dropped()), (1, 4));

    // A buffer that is too small for a frame is used for the next one.
    guest.post(RX, &[&[1523]]);
    guest.network.test_port(0).put(&legacy_frame(13, 5));
    guest.network.test_port(0).put(&legacy_frame(1514, 5));
    let mut fits = legacy_frame(1513, 6);
    fits[10..16].fill(0xff);
    guest.network.test_port(0).put(&fits);
    let mut received = None;
    wait_until(|| {
        received = guest.used(RX);
        received.is_some()
    });
    assert!(received.unwrap() == fits);
    assert_eq!((guest.totals().received.frames, guest.totals().received.dropped()), (1, 2));
}

#[test]
fn the_filter_finds_the_address_behind_either_header() {
    let mut guest = legacy(CTRL_VQ | CTRL_RX);
    assert_eq!(guest.command(2, &[0, 0, 0]), 0, "not promiscuous");
    guest.post(RX, &[&[1524], &[1524]]);
    let mut mine = legacy_frame(60, 1);
    mine[10..16].copy_from_slice(&options().mac.0);
    let mut of_another = mine.clone();
    of_another[15] ^= 1;
    guest.network.test_port(0).put(&of_another);
    guest.network.test_port(0).put(&mine);
    let mut received = None;
    wait_until(|| {
        received = guest.used(RX);
        received.is_some()
    });
    assert_eq!(received.unwrap(), mine);
}

/// The way of Linux before it supported VIRTIO_NET_F_CTRL_MAC_ADDR.
#[test]
fn a_legacy_driver_writes_its_address() {
    let mut guest = legacy(0);
    for (at, byte) in (0..).zip([0x52, 0x54, 0, 1, 2, 3]) {
        guest.machine.device.write_config(at, &[byte]);
    }
    assert_eq!(mac(&guest), [0x52, 0x54, 0, 1, 2, 3]);
    guest.machine.device.write_config(4, &[8, 9, 10, 11]);
    guest.machine.device.write_config(u64::MAX, &[1]);
    guest.machine.device.write_config(6, &[0xff, 0xff]);
    assert_eq!(mac(&guest), [0x52, 0x54, 0, 1, 8, 9]);
    assert_eq!(guest.status() & 1, 1, "the link's state is not the driver's");

    guest.restart(CTRL_VQ | CTRL_MAC_ADDR);
    guest.machine.device.write_config(0, &[0x56]);
    assert_eq!(mac(&guest), options().mac.0, "that of a modern device is only to be read");
    guest.machine.device.reset();
    guest.machine.device.write_config(0, &[0x56]);
    assert_eq!(mac(&guest), options().mac.0, "nobody has begun");
}

#[test]
fn the_kernel_serves_a_legacy_driver() {
    let mut network = TestNetwork::new(1, Offloads::all());
    network.vhost = vec![TestVhost::new(VERSION_1 | MRG_RXBUF | RING_FEATURES)];
    let mut guest = Guest::on(network, NetOptions { legacy: true, ..options() }, 3);
    for (features, expected) in [(0, LEGACY_HEADER_LEN), (MRG_RXBUF, HEADER_LEN)] {
        guest.restart_legacy(features);
        assert_eq!(header_len(&guest), expected);
        let vhost = &guest.network.vhost[0];
        assert_eq!(*vhost.driver_features.lock().unwrap(), features);
        assert_eq!(vhost.served(), [true, true]);
    }
}
