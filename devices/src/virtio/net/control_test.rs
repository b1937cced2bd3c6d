use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::{
    net::Offloads,
    state::testing::{load, saved},
    virtio::{
        device::{Halt, VirtioDevice},
        net::{
            NetOptions,
            features::{MRG_RXBUF, VERSION_1},
            test_guest::{Guest, frame, in_chains, options, wait_until},
        },
        queue::test_driver::{FREE, WRITE},
        test_machine::{Event, LONG},
    },
};

const OK: u8 = 0;
const ERR: u8 = 1;

/// Features required by commands.
const ALL: u64 =
    CTRL_VQ | CTRL_RX | CTRL_RX_EXTRA | CTRL_MAC_ADDR | CTRL_GUEST_OFFLOADS | GUEST_ANNOUNCE | OFFLOADS;

/// `VIRTIO_NET_F_GUEST_CSUM` and `VIRTIO_NET_F_GUEST_TSO4`.
const OFFLOADS: u64 = 1 << 1 | 1 << 7;

fn state(guest: &Guest) -> State {
    serde_json::from_value(saved(&guest.machine.device)["settings"].take()).unwrap()
}

fn two_pairs() -> Guest {
    Guest::new(NetOptions { pairs: 2, ..options() }, Offloads::all())
}

/// A `struct virtio_net_ctrl_mac`.
fn table(entries: u32, macs: &[[u8; 6]]) -> Vec<u8> {
    let mut bytes = entries.to_le_bytes().to_vec();
    bytes.extend(macs.iter().flatten());
    bytes
}

#[test]
fn modes_are_set_one_by_one() {
    let mut guest = Guest::start(ALL);
    let field = |filter: &Filter, mode: u8| {
        let Filter { promisc, allmulti, alluni, nomulti, nouni, nobcast, .. } = *filter;
        [promisc, allmulti, alluni, nomulti, nouni, nobcast][usize::from(mode)]
    };
    for mode in 0..6 {
        for on in [0, 1, 0] {
            assert_eq!(guest.command(2, &[0, mode, on]), OK);
            assert_eq!(field(&state(&guest).filter, mode), on == 1, "{mode}");
        }
        for bad in [&[0, mode][..], &[0, mode, 1, 1]] {
            assert_eq!(guest.command(2, bad), ERR);
        }
    }
    assert_eq!(guest.command(2, &[0, 6, 1]), ERR);
}

#[test]
fn tables_are_kept_as_far_as_there_is_room() {
    let mut guest = Guest::start(ALL);
    let (one, group) = ([2, 0, 0, 0, 0, 1], [1, 0, 0x5e, 0, 0, 1]);
    let set = |unicast: Vec<u8>, multicast: Vec<u8>| [vec![1, 0], unicast, multicast].concat();
    assert_eq!(guest.command(2, &set(table(1, &[one]), table(1, &[group]))), OK);
    let filter = state(&guest).filter;
    assert_eq!((filter.unicast, filter.multicast), (Table::new([one].into()), Table::new([group].into())));
    let many: Vec<[u8; 6]> = (0..65).map(|n| [2, 0, 0, 0, 1, n]).collect();
    for (unicast, multicast, overflows) in
        [(64, 0, [false, false]), (65, 64, [true, false]), (64, 1, [false, true]), (32, 33, [false, true])]
    {
        let tables =
            set(table(unicast, &many[..unicast as usize]), table(multicast, &many[..multicast as usize]));
        assert_eq!(guest.command(2, &tables), OK);
        let filter = state(&guest).filter;
        let expected =
            [unicast, multicast].into_iter().zip(overflows).map(|(entries, overflows)| match overflows {
                true => Table::overflowing(),
                false => Table::new(many[..entries as usize].iter().copied().collect()),
            });
        assert!(expected.eq([filter.unicast, filter.multicast]), "{unicast}, {multicast}");
    }
    let before = state(&guest);
    let short = table(1, &[one]);
    for bad in [
        set(short.clone(), vec![]),
        set(short.clone(), vec![0; 3]),
        set(short.clone(), vec![0; 5]),
        set(short, table(2, &[group])),
        set(table(u32::MAX, &[one]), table(0, &[])),
        set(table(0x2aaa_aaab, &[one]), table(0, &[])),
        vec![1, 0],
    ] {
        assert_eq!(guest.command(2, &bad), ERR);
    }
    assert_eq!(state(&guest), before);
}

#[test]
fn the_address_is_the_driver_s_until_a_reset() {
    let mut guest = Guest::start(ALL);
    let mac = |guest: &Guest| {
        let mut mac = [0; 6];
        guest.machine.device.read_config(0, &mut mac);
        mac
    };
    assert_eq!(guest.command(2, &[1, 1, 2, 3, 4, 5, 6, 7]), OK);
    assert_eq!(mac(&guest), [2, 3, 4, 5, 6, 7]);
    for bad in [
        &[1, 1, 2, 3, 4, 5, 6][..],
        &[1, 1, 2, 3, 4, 5, 6, 7, 8],
        &[1, 1, 0, 0, 0, 0, 0, 0],
        &[1, 1, 1, 3, 4, 5, 6, 7],
    ] {
        assert_eq!(guest.command(2, bad), ERR);
        assert_eq!(mac(&guest), [2, 3, 4, 5, 6, 7]);
    }
    guest.restart(ALL);
    assert_eq!(mac(&guest), options().mac.0);
}

#[test]
fn the_host_gives_the_offloads_that_are_set() {
    let mut guest = Guest::start(ALL);
    let set = |offloads: u64| [&[5, 0][..], &offloads.to_le_bytes()].concat();
    assert_eq!(guest.command(2, &set(1 << 1)), OK);
    assert_eq!(guest.command(2, &set(1 << 7)), OK, "it needs the other, and is as good as none");
    assert_eq!(guest.command(2, &set(OFFLOADS)), OK);
    for bad in [set(1 << 8), set(1), set(u64::MAX), set(0)[..9].to_vec(), [set(0), vec![0]].concat()] {
        assert_eq!(guest.command(2, &bad), ERR);
    }
    let csum_tso4 = Offloads::CSUM | Offloads::TSO4;
    let expected = [csum_tso4, Offloads::CSUM, Offloads::empty(), csum_tso4];
    assert_eq!(*guest.network.given.lock().unwrap(), expected);
    guest.network.refuses.store(libc::EPERM, Ordering::SeqCst);
    assert_eq!(guest.command(2, &set(0)), ERR);
    assert_eq!(state(&guest).guest_offloads, OFFLOADS);
    guest.network.refuses.store(0, Ordering::SeqCst);

    assert_eq!(guest.command(2, &set(0)), OK);
    guest.network.test_port(0).put(&frame(&[1, 1], 100, 0));
    guest.post(0, &[&[1000]]);
    wait_until(|| guest.totals().received.malformed == 1);
}

#[test]
fn frames_come_by_the_pairs_that_are_set() {
    let mut guest = two_pairs();
    guest.restart(ALL | MQ | MRG_RXBUF);
    let set = |pairs: u16| [&[4, 0][..], &pairs.to_le_bytes()].concat();
    for queue in [0, 2] {
        guest.post(queue, &[&[1000][..]; 8]);
    }
    let put = |guest: &Guest, port: u16, seed: u8| guest.network.test_port(port).put(&frame(&[], 100, seed));
    put(&guest, 1, 1);
    put(&guest, 0, 2);
    assert_eq!(guest.receive(0), in_chains(frame(&[], 100, 2), 1));
    assert_eq!(guest.network.test_port(1).receives.load(Ordering::SeqCst), 0, "it is not used");
    assert_eq!(guest.command(4, &set(2)), OK);
    assert_eq!(guest.receive(2), in_chains(frame(&[], 100, 1), 1), "and now it is");
    for bad in [set(0), set(3), set(0x8000), vec![4, 0, 1], vec![4, 0, 1, 0, 0], vec![4, 1, 1, 0]] {
        assert_eq!(guest.command(4, &bad), ERR);
    }
    guest.network.refuses.store(libc::EPERM, Ordering::SeqCst);
    assert_eq!(guest.command(4, &set(1)), ERR);
    assert_eq!(state(&guest).pairs, 2);
    guest.network.refuses.store(0, Ordering::SeqCst);
    // In both directions of both pairs, and across a pause.
    guest.machine.pause_and_resume(VERSION_1 | ALL | MQ | MRG_RXBUF);
    for (port, queue) in [(0, 0), (1, 2)] {
        put(&guest, port, 3);
        assert_eq!(guest.receive(queue), in_chains(frame(&[], 100, 3), 1));
        guest.send(queue + 1, &frame(&[], 60, 4), &[72]);
        wait_until(|| guest.network.test_port(port).take() == Some(frame(&[], 60, 4)));
    }
    assert_eq!(guest.command(4, &set(1)), OK);
    assert_eq!(*guest.network.used_ports.lock().unwrap(), [1, 2, 2, 1]);
    let mut pairs = [0; 2];
    guest.machine.device.read_config(8, &mut pairs);
    assert_eq!(pairs, [2, 0]);
}

/// The control queue is then the third, even if the device supports more pairs.
#[test]
fn a_driver_without_multiple_queues_has_one_pair() {
    let mut guest = two_pairs();
    guest.restart(ALL);
    assert_eq!(guest.command(2, &[0, 0, 0]), OK);
    assert_eq!(guest.command(2, &[4, 0, 1, 0]), ERR);
    guest.offer(3, &[100], 0, &[]);
    guest.machine.kick(3);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!(queues.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_device_that_was_moved_announces_itself() {
    let guest = Guest::start(ALL);
    let state = saved(&guest.machine.device);
    let mut guest = Guest::new(options(), Offloads::all());
    guest.machine.device.features_agreed(VERSION_1 | ALL);
    load(&mut guest.machine.device, &state).unwrap();
    assert_eq!(guest.status(), 3);
    guest.machine.activate(VERSION_1 | ALL);
    assert_eq!(guest.machine.event(), Event::ConfigChanged);
    assert_eq!(guest.command(2, &[3, 0, 0]), ERR);
    assert_eq!(guest.status(), 3);
    assert_eq!(guest.command(2, &[3, 0]), OK);
    assert_eq!(guest.status(), 1);

    let mut guest = Guest::new(options(), Offloads::all());
    guest.machine.device.features_agreed(VERSION_1 | (ALL - GUEST_ANNOUNCE));
    load(&mut guest.machine.device, &state).unwrap();
    assert_eq!(guest.status(), 1, "the driver does not know how");
}

#[test]
fn a_driver_announces_itself_once_each_time_that_it_is_asked_to() {
    let mut guest = Guest::start(ALL);
    assert!(!guest.machine.device.measure().unwrap());
    guest.lasting.announce();
    assert!(guest.machine.device.measure().unwrap());
    assert_eq!(guest.status(), 3);
    assert!(!guest.machine.device.measure().unwrap());
    assert_eq!(guest.command(2, &[3, 0]), OK);
    assert_eq!(guest.status(), 1);

    let mut guest = Guest::start(ALL - GUEST_ANNOUNCE);
    guest.lasting.announce();
    assert!(!guest.machine.device.measure().unwrap(), "the driver does not know how");
    assert_eq!(guest.status(), 1);
}

#[test]
fn a_command_needs_its_feature() {
    let commands: [(u64, &[u8]); 7] = [
        (CTRL_RX, &[0, 0, 1]),
        (CTRL_RX, &[0, 1, 1]),
        (CTRL_RX_EXTRA, &[0, 3, 1]),
        (CTRL_RX, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (CTRL_MAC_ADDR, &[1, 1, 2, 3, 4, 5, 6, 7]),
        (GUEST_ANNOUNCE, &[3, 0]),
        (CTRL_GUEST_OFFLOADS, &[5, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (feature, command) in commands {
        let mut guest = Guest::start(ALL - feature);
        assert_eq!(guest.command(2, command), ERR, "{command:?}");
        guest.restart(ALL);
        assert_eq!(guest.command(2, command), OK, "{command:?}");
        guest.restart(ALL - CTRL_VQ);
        assert_eq!(guest.command(2, command), ERR, "{command:?}");
    }
    let mut guest = Guest::start(ALL);
    for unknown in [&[2, 0, 1, 0][..], &[6, 0], &[0xff, 0xff], &[0], &[1, 2], &[3, 1], &[5, 1]] {
        assert_eq!(guest.command(2, unknown), ERR, "{unknown:?}");
    }
}

#[test]
fn a_chain_without_room_for_an_answer_needs_a_reset() {
    let mut guest = Guest::start(ALL);
    guest.machine.offer(2, &[(FREE, 3, 0)]);
    assert_eq!(guest.machine.event(), Event::NeedsReset);
    guest.restart(ALL);
    // A buffer with only that byte is answered in it.
    assert_eq!(guest.machine.request(2, &[(FREE, 3, WRITE)]), 1);
    assert_eq!(guest.machine.drivers[2].read(FREE, 1), [ERR]);
}

#[test]
fn a_link_that_was_taken_down_is_down_in_another_machine() {
    for (wanted, told) in [(true, true), (false, false), (true, false), (false, true)] {
        let mut first = Guest::start(0);
        first.lasting.set_link(told);
        first.machine.device.measure().unwrap();
        first.lasting.set_link(wanted);
        let state = saved(&first.machine.device);
        let mut second = Guest::new(options(), Offloads::all());
        second.machine.device.features_agreed(VERSION_1);
        load(&mut second.machine.device, &state).unwrap();
        assert_eq!(saved(&second.machine.device), state);
        assert_eq!((second.status(), second.lasting.link_is_up()), (wanted.into(), wanted));
        second.machine.activate(VERSION_1);
        // A driver that was notified of another link state is notified of this one.
        let event = second.machine.try_event();
        assert_eq!(event == Some(Event::ConfigChanged), wanted != told, "{event:?}");
    }
}

#[test]
fn settings_live_through_a_pause_and_are_checked() {
    let mut guest = Guest::start(ALL);
    assert_eq!(guest.command(2, &[0, 0, 0]), OK);
    assert_eq!(guest.command(2, &[1, 1, 2, 3, 4, 5, 6, 7]), OK);
    let before = state(&guest);
    guest.machine.pause_and_resume(VERSION_1 | ALL);
    assert_eq!(state(&guest), before);
    let device = &mut guest.machine.device;
    let good = saved(device);
    for (field, bad) in [("pairs", 0_u64), ("pairs", 2), ("guest_offloads", 1), ("guest_offloads", 1 << 8)] {
        let mut state = good.clone();
        state["settings"][field] = bad.into();
        assert!(load(device, &state).is_err(), "{field}: {bad}");
    }
    let mut many = good.clone();
    let addresses: Vec<_> = (0..65_u8).map(|last| [2, 0, 0, 0, 0, last]).collect();
    many["settings"]["filter"]["unicast"]["addresses"] = serde_json::json!(addresses);
    assert!(load(device, &many).unwrap_err().contains("more addresses than there is room for"));
    assert!(load(device, &serde_json::Value::Null).is_err());
    load(device, &good).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any command gets an answer, and leaves a state that can be loaded.
    #[test]
    fn any_command_is_answered(
        commands in prop::collection::vec((0_u8..7, 0_u8..7, prop::collection::vec(any::<u8>(), 0..40)), 1..20),
    ) {
        let mut guest = two_pairs();
        guest.restart(ALL | MQ);
        for (class, command, data) in commands {
            let answer = guest.command(4, &[vec![class, command], data].concat());
            prop_assert!(answer <= ERR);
        }
        let state = saved(&guest.machine.device);
        load(&mut guest.machine.device, &state).unwrap();
    }
}
