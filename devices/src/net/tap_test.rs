use std::{
    env,
    fs::OpenOptions,
    io::ErrorKind,
    os::fd::{IntoRawFd, OwnedFd},
    process::Command,
};

use libc::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN, IFF_VNET_HDR};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{FdFlags, fcntl_setfd},
};

use super::*;
use crate::net::LEGACY_HEADER_LEN;
use crate::net::interface::Interface;
use crate::net::testing::{
    again, frame, has, in_namespace, inside, ip, is_ours, receive, run, send, try_ip, wait, wait_for,
};

fn error(opened: Result<Tap, TapError>) -> String {
    let mut error: &dyn std::error::Error = &opened.unwrap_err();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}

/// Two taps that are connected by a bridge.
fn bridged() -> [Tap; 2] {
    ip("link add br0 type bridge forward_delay 0 mcast_snooping 0
        link set br0 up");
    ["t0", "t1"].map(|name| {
        let tap = Tap::open(name, 1, None).unwrap();
        ip(&format!("link set dev {name} master br0"));
        tap
    })
}

#[test]
fn a_tap_is_made_and_gone() {
    in_namespace(|| {
        let tap = Tap::open("nvmm%d", 1, None).unwrap();
        let other = Tap::open("nvmm%d", 1, Some(9000)).unwrap();
        assert_eq!((tap.name().as_str(), tap.mtu()), ("tap nvmm0", Some(1500)));
        assert_eq!((other.name().as_str(), other.mtu()), ("tap nvmm1", Some(9000)));
        assert_eq!((tap.most_ports(), tap.interface().as_str()), (1, "nvmm0"));
        let interface = Interface::new(other.interface()).unwrap();
        assert!(interface.is_tap() && interface.is_up().unwrap());
        assert_eq!(interface.mtu().unwrap(), 9000);
        drop(tap);
        assert!(!has("nvmm0") && has("nvmm1"));
    });
}

#[test]
fn a_tap_that_was_there_remains() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap
            tuntap add dev t1 mode tap multi_queue");
        for name in ["t0", "t1"] {
            for _ in 0..2 {
                let tap = Tap::open(name, 1, None).unwrap();
                assert!(Interface::new(tap.interface()).unwrap().is_up().unwrap());
                assert_eq!(
                    error(Tap::open(name, 1, None)),
                    format!("another program has the tap {name} open")
                );
            }
            assert!(has(name));
        }
        let _two = Tap::open("t1", 2, None).unwrap();
        assert_eq!(error(Tap::open("t1", 2, None)), "another program has the tap t1 open");
    });
}

#[test]
fn errors_say_what_to_do() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap
            tuntap add dev u0 mode tun");
        assert_eq!(
            error(Tap::open("t0", 2, None)),
            "the tap t0 has one queue; leave queues= out, or make it with: ip tuntap add dev t0 mode tap multi_queue"
        );
        for name in ["lo", "u0"] {
            let expected = format!("the interface {name} is no tap; give a name that is free, or a tap's");
            assert_eq!(error(Tap::open(name, 1, None)), expected);
        }
        assert_eq!(
            error(Tap::open("a b", 1, None)),
            "\"a b\" names no interface: an interface's name has 1 to 15 bytes, and no '/', ':' or white space"
        );
        let text = error(Tap::open("t0", 1, Some(u16::MAX)));
        assert!(text.starts_with("the tap t0 can't have an MTU of 65535; it has 1500: "), "{text}");
    });
}

fn without_rights() {
    let text = error(Tap::open("nvmm%d", 2, None));
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(
        text,
        format!(
            "no permission to make the tap nvmm%d; run nvmm with CAP_NET_ADMIN, or have an administrator make a tap: \
             ip tuntap add dev nvmm0 mode tap user {user} multi_queue && ip link set dev nvmm0 up; then give tap=nvmm0"
        )
    );
    let text = error(Tap::open("theirs", 1, None));
    assert!(text.starts_with("the tap theirs is another user's; run nvmm with CAP_NET_ADMIN, or"), "{text}");
    let ours = Tap::open("ours", 1, None).unwrap();
    assert!(!ours.gives().is_empty());
    let text = error(Tap::open("low", 1, Some(9000)));
    assert!(text.starts_with("the tap low can't have an MTU of 9000; it has 1500: "), "{text}");
}

#[test]
fn a_user_has_the_taps_that_were_made_for_it() {
    const NO_RIGHTS: &str = "NVMM_TEST_NO_RIGHTS";
    in_namespace(|| {
        if env::var_os(NO_RIGHTS).is_some() {
            return without_rights();
        }
        let user = rustix::process::geteuid().as_raw();
        if !try_ip(&format!("tuntap add dev theirs mode tap user {}", user + 1)) {
            return eprintln!("skipped: this user namespace has one user");
        }
        ip(&format!(
            "tuntap add dev ours mode tap user {user}
             tuntap add dev low mode tap user {user}"
        ));
        let setpriv = || {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
            setpriv
        };
        if !setpriv().arg("true").status().is_ok_and(|status| status.success()) {
            return eprintln!("skipped: setpriv can't take rights away");
        }
        run(again(&mut setpriv(), &inside()).env(NO_RIGHTS, "1"));
    });
}

#[test]
fn frames_go_both_ways() {
    in_namespace(|| {
        let [a, b] = bridged();
        for (from, to) in [(&a, &b), (&b, &a)] {
            for len in [0, 1, 46, 1000, 1500] {
                let sent = frame(&vec![u8::try_from(len % 251).unwrap(); len]);
                send(from.port(0), &sent).unwrap();
                assert_eq!(wait_for(to.port(0), is_ours), sent);
            }
        }
        assert!(wait(a.port(0), PollFlags::OUT).contains(PollFlags::OUT));
        while receive(a.port(0)).is_ok() {}
        assert_eq!(receive(a.port(0)).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn only_a_bad_frame_suffers() {
    in_namespace(|| {
        let [a, b] = bridged();
        let good = frame(b"good");
        let gso_kind = |kind| [&[0, kind][..], &[0; 10], &good[HEADER_LEN..]].concat();
        let needs_checksum = |start: u16, offset: u16| {
            let mut bytes = good.clone();
            bytes[0] = 1;
            bytes[6..8].copy_from_slice(&start.to_le_bytes());
            bytes[8..10].copy_from_slice(&offset.to_le_bytes());
            bytes
        };
        for bad in [vec![], vec![0; HEADER_LEN - 1], vec![0; HEADER_LEN], good[..HEADER_LEN + 13].to_vec()] {
            let kind = send(a.port(0), &bad).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::InvalidInput, "{bad:?}");
        }
        // Kernels differ in which of these they accept.
        for odd in [gso_kind(1), gso_kind(0x7f), needs_checksum(60000, 0), needs_checksum(0, 60000)] {
            if let Err(error) = send(a.port(0), &odd) {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{odd:?}");
            }
        }
        let _ = send(a.port(0), &frame(&vec![0; 70_000]));
        send(a.port(0), &good).unwrap();
        wait_for(b.port(0), |frame| frame == good);
    });
}

/// An IPv4 TCP segment of `len` bytes, longer than the MTU, whose checksum must be completed.
fn segment(len: usize) -> Vec<u8> {
    let be = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let header = {
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&[1, 1]);
        for (at, value) in [(2, 54_u16), (4, 1000), (6, 34), (8, 16)] {
            header[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        header
    };
    let mut ip =
        [&[0x45, 0][..], &be(40 + len), &[0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]].concat();
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let tcp = [0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0];
    let ends = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1, 8, 0];
    [&header[..], &ends, &ip, &tcp, &vec![7; len]].concat()
}

fn is_tcp(frame: &[u8]) -> bool {
    frame.get(HEADER_LEN + 23) == Some(&6)
}

#[test]
fn segments_come_as_they_are_wanted() {
    in_namespace(|| {
        let [a, b] = bridged();
        assert!(b.gives().contains(Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::ECN));
        assert!(b.takes().contains(b.gives()));
        let sent = segment(2500);
        let lens = |count| -> Vec<_> {
            send(a.port(0), &sent).unwrap();
            (0..count).map(|_| wait_for(b.port(0), is_tcp)).map(|frame| (frame[1], frame.len())).collect()
        };
        let ahead = HEADER_LEN + 54;
        let cut = [(0, ahead + 1000), (0, ahead + 1000), (0, ahead + 500)];
        assert_eq!(lens(3), cut, "at first there are none");
        b.give(b.gives()).unwrap();
        assert_eq!(lens(1), [(1, sent.len())]);
        b.give(Offloads::TSO4).unwrap();
        assert_eq!(lens(3), cut, "without checksums there are no segments");
        b.give(Offloads::CSUM | Offloads::TSO4).unwrap();
        assert_eq!(lens(1), [(1, sent.len())]);
        b.give(Offloads::empty()).unwrap();
        assert_eq!(lens(3), cut);
    });
}

#[test]
fn the_first_queues_are_used() {
    in_namespace(|| {
        let tap = Tap::open("t0", 4, None).unwrap();
        assert_eq!(tap.most_ports(), 4);
        let queues = || {
            let is_attached = |port: &TapPort| {
                let mut request = InterfaceName::NONE.request(&[]);
                ioctl::call(&port.0, Call::TunGetInterface, &mut request).unwrap();
                let detached = u16::from_ne_bytes(flags(IFF_DETACH_QUEUE));
                u16::from_ne_bytes([request.value[0], request.value[1]]) & detached == 0
            };
            tap.ports.iter().map(is_attached).collect::<Vec<_>>()
        };
        assert_eq!(queues(), [true, false, false, false]);
        for (ports, expected) in [
            (3, [true, true, true, false]),
            (3, [true, true, true, false]),
            (4, [true; 4]),
            (2, [true, true, false, false]),
            (0, [true, false, false, false]),
            (100, [true; 4]),
        ] {
            tap.use_ports(ports).unwrap();
            assert_eq!(queues(), expected, "{ports}");
            for (index, used) in (0..4).zip(expected) {
                while receive(tap.port(index)).is_ok() {}
                assert_eq!(receive(tap.port(index)).unwrap_err().kind(), ErrorKind::WouldBlock, "{used}");
                send(tap.port(index), &frame(b"on its way")).unwrap();
            }
        }
    });
}

/// Two taps of two queues, on a bridge.
fn two_on_a_bridge() -> [Tap; 2] {
    ip("link add br0 type bridge forward_delay 0 mcast_snooping 0
        link set br0 up");
    let taps = ["t0", "t1"].map(|name| Tap::open(name, 2, None).unwrap());
    ip("link set dev t0 master br0
        link set dev t1 master br0");
    taps
}

#[test]
fn an_unused_port_sends() {
    in_namespace(|| {
        let [a, b] = two_on_a_bridge();
        send(a.port(1), &frame(b"one")).unwrap();
        assert_eq!(wait_for(b.port(0), is_ours), frame(b"one"));
    });
}

#[test]
fn a_header_can_be_shorter() {
    in_namespace(|| {
        let [a, b] = two_on_a_bridge();
        let long = frame(b"either");
        let short = [&long[..LEGACY_HEADER_LEN], &long[HEADER_LEN..]].concat();
        for (a_len, b_len) in [(LEGACY_HEADER_LEN, HEADER_LEN), (HEADER_LEN, LEGACY_HEADER_LEN)] {
            a.set_header_len(a_len).unwrap();
            b.set_header_len(b_len).unwrap();
            let [sent, expected] = [a_len, b_len].map(|len| if len == HEADER_LEN { &long } else { &short });
            // Also ports that are not in use.
            for port in [0, 1] {
                send(a.port(port), sent).unwrap();
                assert_eq!(&wait_for(b.port(0), |frame| frame.ends_with(b"either")), expected);
            }
        }
    });
}

#[test]
fn a_tap_goes_away() {
    in_namespace(|| {
        let tap = Tap::open("t0", 2, None).unwrap();
        tap.use_ports(2).unwrap();
        while receive(tap.port(0)).is_ok() {}
        tap.check().unwrap();
        let is_news = || {
            let news = tap.news().unwrap();
            poll(&mut [PollFd::new(&news, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 1
        };
        assert!(!is_news());
        ip("link del t0");
        assert!(is_news());
        assert_eq!(tap.check().unwrap_err().raw_os_error(), Some(libc::EBADFD));
        for port in [0, 1].map(|index| tap.port(index)) {
            assert!(wait(port, PollFlags::IN).contains(PollFlags::ERR));
            assert_eq!(receive(port).unwrap_err().raw_os_error(), Some(libc::EBADFD));
            assert_eq!(send(port, &frame(b"late")).unwrap_err().raw_os_error(), Some(libc::EBADFD));
        }
        assert!(tap.give(Offloads::CSUM).is_err());
        assert!(tap.set_header_len(HEADER_LEN).is_err());
    });
}

#[test]
fn a_tap_that_is_down_is_shared_no_more_than_one_that_is_up() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap multi_queue");
        let first = Tap::open("t0", 2, None).unwrap();
        ip("link set t0 down");
        assert_eq!(error(Tap::open("t0", 1, None)), "another program has the tap t0 open");
        drop(first);
        Tap::open("t0", 1, None).unwrap();
    });
}

#[test]
fn a_tap_that_is_down_drops() {
    in_namespace(|| {
        let tap = Tap::open("t0", 1, None).unwrap();
        ip("link set t0 down");
        assert!(send(tap.port(0), &frame(b"")).is_err());
        while receive(tap.port(0)).is_ok() {}
        assert_eq!(receive(tap.port(0)).unwrap_err().kind(), ErrorKind::WouldBlock);
        ip("link set t0 up");
        send(tap.port(0), &frame(b"")).unwrap();
    });
}

fn tun(name: &str, kind: c_int) -> OwnedFd {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
    let mut request = name.parse::<InterfaceName>().unwrap().request(&flags(kind));
    ioctl::call(&file, Call::TunSetInterface, &mut request).unwrap();
    file.into()
}

#[test]
fn open_taps_are_taken_over() {
    in_namespace(|| {
        let kind = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        let many = kind | IFF_MULTI_QUEUE;
        let open = |path| OwnedFd::from(OpenOptions::new().read(true).write(true).open(path).unwrap());
        let bare = "has /dev/net/tun open, but has no interface: whoever opens it calls TUNSETIFF, with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR";
        let header = "is a tap without a header; whoever opens it has to call TUNSETIFF with IFF_VNET_HDR and IFF_NO_PI";
        for (descriptors, expected) in [
            (vec![open("/dev/null")], "is neither a tap nor a macvtap"),
            (vec![open("/proc/self/comm")], "is neither a tap nor a macvtap"),
            (vec![open("/dev/net/tun")], bare),
            (
                vec![tun("t0", IFF_TUN | IFF_NO_PI)],
                "is a tun, which has packets and no frames; a tap is needed (IFF_TAP)",
            ),
            (vec![tun("t1", IFF_TAP | IFF_NO_PI)], header),
            (
                vec![tun("t3", kind), tun("t4", kind)],
                "is a tap of one queue; for several, whoever opens it calls TUNSETIFF with IFF_MULTI_QUEUE",
            ),
            (
                vec![tun("t5", many), tun("t6", many)],
                "is of t6, and the first of t5: all have to be queues of one tap",
            ),
        ] {
            let number = descriptors.last().unwrap().as_raw_fd().min(descriptors[0].as_raw_fd());
            let text = error(Tap::from_descriptors(descriptors));
            assert_eq!(text.split_once(' ').unwrap().1.split_once(' ').unwrap().1, expected, "{number}");
        }
        let one = tun("t0", kind);
        let number = one.as_raw_fd();
        let tap = Tap::from_descriptors(vec![one]).unwrap();
        assert_eq!((tap.name(), tap.mtu()), (format!("tap t0 by descriptor {number}"), None));
        ip("link set t0 up");
        send(tap.port(0), &frame(b"")).unwrap();
        while receive(tap.port(0)).is_ok() {}
        assert_eq!(receive(tap.port(0)).unwrap_err().kind(), ErrorKind::WouldBlock, "it never waits");
        let two = Tap::from_descriptors(vec![tun("t1", many), tun("t1", many)]).unwrap();
        assert_eq!((two.most_ports(), two.interface().as_str()), (2, "t1"));
        two.use_ports(2).unwrap();
    });
}

#[test]
fn a_descriptor_is_taken_over_once() {
    in_namespace(|| {
        let not_passed = |number| format!("descriptor {number} is none that nvmm was started with");
        assert_eq!(error(Tap::inherited(&[1])), "descriptor 1 is neither a tap nor a macvtap");
        assert_eq!(error(Tap::inherited(&[-1])), "descriptor -1 is neither a tap nor a macvtap");
        assert_eq!(error(Tap::inherited(&[999])), not_passed(999));
        let tap = tun("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
        assert_eq!(error(Tap::inherited(&[tap.as_raw_fd()])), not_passed(tap.as_raw_fd()), "it is our own");
        fcntl_setfd(&tap, FdFlags::empty()).unwrap();
        let number = tap.into_raw_fd();
        let tap = Tap::inherited(&[number]).unwrap();
        assert_eq!(error(Tap::inherited(&[number])), not_passed(number));
        assert_eq!(tap.port(0).descriptor(), number);
        drop(tap);
        assert!(!has("t0"));
    });
}

#[test]
fn a_macvtap_is_opened() {
    in_namespace(|| {
        if !try_ip("link add v0 type veth peer name v1")
            || !try_ip("link add link v0 name m0 address 52:54:00:00:00:02 type macvtap mode bridge")
        {
            return eprintln!("skipped: no macvtap");
        }
        ip("link set v0 up
            link set v1 up
            link add link v1 name m1 address 52:54:00:00:00:01 type macvtap mode bridge");
        let m0 = match Tap::open("m0", 2, None) {
            Err(TapError::Macvtap { path, source, .. }) => return eprintln!("skipped: {path}: {source}"),
            opened => opened.unwrap(),
        };
        let m1 = Tap::open("m1", 1, None).unwrap();
        assert_eq!((m0.name().as_str(), m0.most_ports(), m0.mtu()), ("macvtap m0", 2, Some(1500)));
        m0.use_ports(2).unwrap();
        m0.use_ports(1).unwrap();
        m0.give(m0.gives()).unwrap();
        let sent = frame(b"to all");
        send(m1.port(0), &sent).unwrap();
        assert_eq!(wait_for(m0.port(0), is_ours), sent);
        m0.check().unwrap();
        ip("link del m0");
        assert!(m0.check().is_err());
    });
}
