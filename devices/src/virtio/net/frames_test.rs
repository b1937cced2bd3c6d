use super::*;
use crate::{
    net::Offloads,
    virtio::{
        device::VirtioDevice,
        net::{
            NetOptions,
            features::{CTRL_VQ, MQ, MRG_RXBUF, VERSION_1},
            test_guest::{Guest, RX, TX, frame, options, wait_until},
            test_network::TestNetwork,
        },
        serve::RING_FEATURES,
        test_vhost::TestVhost,
    },
};

fn guest(pairs: u16) -> Guest {
    let mut network = TestNetwork::new(pairs, Offloads::all());
    network.vhost = (0..pairs).map(|_| TestVhost::new(MRG_RXBUF | RING_FEATURES)).collect();
    Guest::on(network, NetOptions { pairs, ..options() }, 2 * pairs + 1)
}

impl Guest {
    fn pull_or_plug(&mut self, up: bool) {
        self.lasting.set_link(up);
        assert!(self.machine.device.measure().unwrap());
    }

    /// True for each pair whose queues the kernel serves.
    fn by_kernel(&self) -> Vec<Vec<bool>> {
        self.network.vhost.iter().map(|vhost| vhost.served()).collect()
    }
}

#[test]
fn while_the_link_is_down_frames_are_dropped() {
    let mut guest = guest(1);
    guest.restart(0);
    let network = Arc::clone(&guest.network);
    // The kernel has not reached this one yet.
    guest.send(TX, &frame(&[], 60, 1), &[72]);
    assert_eq!(guest.by_kernel(), [[true, true]]);
    guest.pull_or_plug(false);
    assert_eq!(guest.by_kernel(), [[false, false]]);
    guest.wait_for_used(TX);
    guest.send(TX, &frame(&[], 60, 2), &[72]);
    guest.wait_for_used(TX);
    guest.post(RX, &[&[2000]]);
    network.test_port(0).put(&frame(&[], 60, 3));
    wait_until(|| guest.lasting.counters.total().received.link_down == 1);
    assert_eq!(guest.lasting.counters.total().sent.link_down, 2);
    assert_eq!((guest.try_receive(RX), network.test_port(0).take()), (None, None));

    // It continues after them.
    guest.pull_or_plug(true);
    assert_eq!(guest.by_kernel(), [[true, true]]);
    assert_eq!([RX, TX].map(|queue| network.vhost[0].with(queue.into(), |queue| queue.position)), [0, 2]);
}

#[test]
fn pauses_and_resets_keep_to_the_link() {
    let mut guest = guest(2);
    guest.restart(MQ | CTRL_VQ);
    guest.pull_or_plug(false);
    guest.machine.pause_and_resume(MQ | CTRL_VQ | VERSION_1);
    assert_eq!(guest.by_kernel(), [[false, false]; 2]);
    guest.send(3, &frame(&[], 60, 1), &[72]);
    guest.wait_for_used(3);
    guest.restart(MQ | CTRL_VQ);
    assert_eq!(guest.by_kernel(), [[false, false]; 2]);
    guest.send(3, &frame(&[], 60, 1), &[72]);
    guest.wait_for_used(3);
    guest.pull_or_plug(true);
    assert_eq!(guest.by_kernel(), [[true, true]; 2]);
    guest.machine.pause_and_resume(MQ | CTRL_VQ | VERSION_1);
    assert_eq!(guest.by_kernel(), [[true, true]; 2]);
}

#[test]
fn a_link_whose_host_is_gone_is_down() {
    let mut guest = guest(1);
    guest.restart(0);
    guest.network.is_gone.store(libc::EBADFD, std::sync::atomic::Ordering::SeqCst);
    assert!(guest.machine.device.measure().unwrap());
    assert!(!guest.lasting.link_is_up());
    assert_eq!(guest.by_kernel(), [[false, false]]);
    guest.send(TX, &frame(&[], 60, 1), &[72]);
    guest.wait_for_used(TX);
    assert!(!guest.machine.device.measure().unwrap(), "the driver knows");
}
