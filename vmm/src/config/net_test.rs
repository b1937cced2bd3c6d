use std::os::unix::ffi::OsStrExt;

use devices::net::Protocol;

use super::*;

const UUID: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

fn parse_all(given: &[&str]) -> Result<Vec<NetConfig>, String> {
    let given: Vec<_> = given.iter().map(OsString::from).collect();
    devices(&given, None).map_err(|error| error.to_string())
}

#[track_caller]
fn parse(given: &str) -> NetConfig {
    let [device] = <[_; 1]>::try_from(parse_all(&[given]).unwrap()).unwrap();
    device
}

fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

fn forward(protocol: Protocol, address: &str, port: u16, guest_port: u16) -> Forward {
    Forward { protocol, address: Some(address.parse().unwrap()), port, guest_port }
}

#[test]
fn a_place_alone_has_the_documented_defaults() {
    let expected = NetConfig {
        number: 0,
        name: "net0".to_owned(),
        host: NetHost::Tap(Some(name("tap0"))),
        mac: NetMac::Disk,
        mtu: None,
        queues: 1,
        vhost: Vhost::Auto,
        offload: true,
        legacy: false,
    };
    assert_eq!(parse("tap=tap0"), expected);
    assert_eq!(parse_all(&["none"]), Ok(vec![]));
    assert_eq!(parse_all(&[]), Ok(vec![]));
}

#[test]
fn every_place() {
    for (given, host, queues) in [
        ("tap", NetHost::Tap(None), 1),
        ("tap,fd=7", NetHost::Descriptors(vec![7]), 1),
        ("tap,fds=3:5:4", NetHost::Descriptors(vec![3, 5, 4]), 3),
        ("tap,fds=3:4,queues=2", NetHost::Descriptors(vec![3, 4]), 2),
        ("bridge=virbr0", NetHost::Bridge { name: name("virbr0"), helper: None }, 1),
        ("bridge", NetHost::Bridge { name: name("br0"), helper: None }, 1),
        ("bridge=b,helper=/a,,b", NetHost::Bridge { name: name("b"), helper: Some("/a,b".into()) }, 1),
        ("user", NetHost::User(vec![]), 1),
        (
            "user,hostfwd=tcp::2222-:22,mac=52:54:00:00:00:01,hostfwd=udp:0.0.0.0:53-:5353",
            NetHost::User(vec![
                forward(Protocol::Tcp, "127.0.0.1", 2222, 22),
                forward(Protocol::Udp, "0.0.0.0", 53, 5353),
            ]),
            1,
        ),
        ("user,hostfwd=:[::1]:80-:8080", NetHost::User(vec![forward(Protocol::Tcp, "::1", 80, 8080)]), 1),
    ] {
        let device = parse(given);
        assert_eq!((device.host, device.queues), (host, queues), "{given}");
    }
}

#[test]
fn every_key() {
    let device = parse("tap=a,mac=52-54-00-AA-00-01,mtu=9000,queues=4,vhost=on,id=lan,offload=off,legacy=on");
    let expected = NetConfig {
        number: 0,
        name: "lan".to_owned(),
        host: NetHost::Tap(Some(name("a"))),
        mac: NetMac::Given(MacAddress([0x52, 0x54, 0, 0xaa, 0, 1])),
        mtu: Some(9000),
        queues: 4,
        vhost: Vhost::On,
        offload: false,
        legacy: true,
    };
    assert_eq!(device, expected);
    assert_eq!(parse("bridge,vhost=off").vhost, Vhost::Off);
    assert_eq!(parse("user,vhost=auto").vhost, Vhost::Auto);
    assert!(parse("tap,offload=on").offload);
    assert!(!parse("tap,legacy=off").legacy);
    assert_eq!(parse("tap,id=a,,b").name, "a,b");
    assert_eq!([parse("tap,mtu=68").mtu, parse("tap,mtu=65535").mtu], [Some(68), Some(65535)]);
}

#[test]
fn words_of_qemu() {
    let device =
        parse("tap,id=n,ifname=t0,script=no,downscript=,vhost=off,macaddr=52:54:00:00:00:01,host_mtu=1400");
    assert_eq!(device, parse("tap=t0,id=n,mac=52:54:00:00:00:01,mtu=1400,vhost=off"));
    assert_eq!(parse("bridge,br=br7"), parse("bridge=br7"));
    assert_eq!(parse("tap,disable-legacy=off"), parse("tap,legacy=on"));
    assert_eq!(parse("tap,disable-legacy=on"), parse("tap"));
}

#[test]
fn invalid_values_are_named_with_valid_ones() {
    let cases = [
        ("", "give user, bridge=BRIDGE, tap=INTERFACE, tap or none"),
        ("tap0", "give user, bridge=BRIDGE, tap=INTERFACE"),
        ("nic,model=virtio", "nvmm's device and its place on the host are one option; give user"),
        ("none,mac=52:54:00:00:00:01", "'mac' means nothing here; give nothing with none"),
        ("l2tpv3,src=10.0.0.1", "the host makes the tunnel for nvmm (`ip l2tp add tunnel`"),
        ("socket,listen=:1234", "give bridge=BRIDGE to each of them"),
        ("vhost-user,chardev=c", "nvmm has no vhost-user; give tap=INTERFACE"),
        ("vhost-vdpa", "give tap=MACVTAP, a macvtap on it"),
        ("passt", "say user, which is passt"),
        ("none=x", "give user, bridge=BRIDGE, tap=INTERFACE"),
        ("tap=", "'': an interface's name has 1 to 15 bytes"),
        ("tap=0123456789abcdef", "'0123456789abcdef': an interface's name has"),
        ("tap=a/b", "'a/b': an interface's name has 1 to 15 bytes, and no '/', ':' or white space"),
        ("bridge=.", "'.': an interface's name"),
        ("bridge=b%d", "'b%d' is no bridge; give the name of one that is there"),
        ("tap=a b", "'a b': an interface's name"),
        ("tap=t,fd=3", "an open tap has its name already; leave 't' or the descriptor out"),
        ("tap=t,ifname=u", "'tap=t' and 'ifname=u' are both a name; leave one of them out"),
        ("bridge=b,br=c", "'bridge=b' and 'br=c' are both a name; leave one of them out"),
        ("tap,fd=3,fds=4", "'fd' and 'fds' are the same"),
        ("tap,fd=2", "'2' is no descriptor of a tap; give its number, from 3 on"),
        ("tap,fd=x", "'x' is no descriptor"),
        ("tap,fd=-3", "'-3' is no descriptor"),
        ("tap,fd=+3", "'+3' is no descriptor"),
        ("tap,fds=3:", "'' is no descriptor"),
        ("tap,fds=3:3", "descriptor 3 is there twice"),
        ("tap,fds=3:4,queues=3", "queues=3: there is one for each descriptor; leave it out"),
        ("tap,script=/etc/qemu-ifup", "nvmm runs no script; leave it out, and give bridge=BRIDGE"),
        ("tap,fd", "'fd' needs a value: fd=N"),
        ("user=x", "give user alone"),
        ("user,queues=2", "queues=2: passt has one"),
        ("user,fd=3", "'fd' means nothing here; give hostfwd=, mac=, mtu="),
        ("bridge=b,hostfwd=tcp::1-:1", "'hostfwd' means nothing here; give helper=, mac="),
        ("bridge=b,helper=", "helper= needs a path; leave it out"),
        ("bridge=b,fd=3", "'fd' means nothing here"),
        ("user,hostfwd=2222", "hostfwd=2222: give tcp:[ADDRESS]:PORT-:GUESTPORT, such as tcp"),
        ("user,hostfwd=tcp:2222-:22", "give tcp:[ADDRESS]:PORT-:GUESTPORT"),
        ("user,hostfwd=sctp::1-:2", "give tcp:[ADDRESS]:PORT-:GUESTPORT"),
        ("user,hostfwd=tcp::1-2", "give tcp:[ADDRESS]:PORT-:GUESTPORT"),
        ("user,hostfwd=tcp::0-:22", "a port is a number from 1 to 65535"),
        ("user,hostfwd=tcp::65536-:22", "a port is a number from 1 to 65535"),
        ("user,hostfwd=tcp::1-:0", "a port is a number from 1 to 65535"),
        (
            "user,hostfwd=tcp:localhost:1-:2",
            "the host's address is to be one of IPv4, such as 127.0.0.1, or of IPv6 in brackets",
        ),
        ("user,hostfwd=tcp:::1:1-:2", "the host's address is to be one of IPv4"),
        ("user,hostfwd=tcp::1-10.0.2.15:22", "leave out the guest's address, since there is one guest"),
        (
            "user,hostfwd=tcp::80-:80,hostfwd=tcp:0.0.0.0:80-:81",
            "hostfwd=tcp:127.0.0.1:80-:80 has that port already",
        ),
        ("tap,mac=5", "mac=5: give six pairs of hexadecimal digits, such as 52:54:00:12:34:56"),
        ("tap,mac=ff:ff:ff:ff:ff:ff", "mac=ff:ff:ff:ff:ff:ff: it is a multicast address"),
        ("tap,mac=52:54:00:00:00:01,macaddr=52:54:00:00:00:01", "'mac' and 'macaddr' are the same"),
        ("tap,mac=52:54:00:00:00:01,mac=52:54:00:00:00:01", "'mac' is there twice"),
        ("tap,mtu=67", "mtu=67: give a number from 68 to 65535"),
        ("tap,mtu=65536", "mtu=65536: give a number from 68 to 65535"),
        ("tap,mtu=+1500", "mtu=+1500: give a number"),
        ("user,mtu=65521", "mtu=65521: passt takes one from 68 to 65520"),
        ("tap,mtu=big", "mtu=big: give a number"),
        ("tap,queues=0", "queues=0: give a number from 1 to 64"),
        ("tap,queues=+2", "queues=+2: give a number from 1 to 64"),
        ("tap,queues=65", "queues=65: give a number from 1 to 64"),
        ("user,vhost=on", "vhost=on: the kernel can't move frames to passt; leave it out"),
        ("tap,vhost=yes", "vhost=yes: give auto, on or off"),
        ("tap,id=", "id= needs a name"),
        ("tap,legacy=on,disable-legacy=off", "are about the same; leave one of them out"),
        ("tap,legacy=1", "'legacy=1': give legacy=on or legacy=off"),
        ("tap,offload=maybe", "'offload=maybe': give offload=on or offload=off"),
        ("tap,colour=red", "'colour' means nothing here; give fd=, mac=, mtu="),
    ];
    for (given, why) in cases {
        let error = parse_all(&[given]).expect_err(given);
        assert!(error.contains(why), "{given}: {error}");
        assert!(error.starts_with(&format!("--net {given}: ")), "{given}: {error}");
    }
    let error = Words::parse(OsStr::from_bytes(b"tap=\xff/\n")).unwrap_err().to_string();
    assert!(error.starts_with(r"--net tap=\xff/\n: '\xff/\n': an interface's name has"), "{error}");
}

#[test]
fn devices_have_names_addresses_and_places_of_their_own() {
    let names = |given| parse_all(given).unwrap().into_iter().map(|device| device.name).collect::<Vec<_>>();
    assert_eq!(names(&["tap", "user,id=lan", "bridge=b", "bridge=b"]), ["net0", "lan", "net2", "net3"]);
    // Names that the user has given to others are not used.
    assert_eq!(names(&["user,id=net1", "user", "user", "user,id=net0"]), ["net1", "net2", "net3", "net0"]);
    for (given, why) in [
        (["tap,id=a", "user,id=a"], "another network device is called 'a'; give each its own id"),
        (["tap,id=lan", "user,id=lan"], "another network device is called 'lan'"),
        (
            ["tap,mac=52:54:00:00:00:01", "user,mac=52-54-00-00-00-01"],
            "another network device has the address 52:54:00:00:00:01; give each its own",
        ),
        (["tap=t", "tap=t"], "another network device has the tap t; give each its own"),
        (["tap,fds=3:4", "tap,fd=4"], "another network device has the descriptor 4"),
        (
            ["user,hostfwd=tcp:0.0.0.0:22-:22", "user,hostfwd=tcp::22-:22"],
            "hostfwd=tcp:127.0.0.1:22-:22: hostfwd=tcp:0.0.0.0:22-:22 has that port already",
        ),
    ] {
        let error = parse_all(&given).unwrap_err();
        assert!(error.starts_with(&format!("--net {}: {why}", given[1])), "{error}");
    }
    for fine in [
        ["tap", "tap"],
        ["tap=t%d", "tap=t%d"],
        ["tap,fd=3", "tap,fd=4"],
        ["user,hostfwd=tcp::22-:22", "user,hostfwd=udp::22-:22"],
        ["user,hostfwd=tcp::22-:22", "user,hostfwd=tcp:[::1]:22-:22"],
    ] {
        parse_all(&fine).unwrap();
    }
    for none in [["none", "user"], ["user", "none"], ["none", "none"]] {
        let error = parse_all(&none).unwrap_err();
        assert_eq!(error, "--net none: there is another --net; leave one of them out");
    }
}

#[test]
fn a_uuid_and_a_number_always_make_the_same_address() {
    let given: Vec<_> = ["tap", "user", "tap,mac=52:54:00:00:00:01"].map(OsString::from).to_vec();
    let macs = |uuid| -> Vec<_> {
        let devices = devices(&given, Some(uuid)).unwrap();
        devices.into_iter().map(|device| device.mac).collect()
    };
    let [NetMac::Uuid(first), NetMac::Uuid(second), NetMac::Given(third)] = macs(UUID)[..] else {
        panic!("{:?}", macs(UUID))
    };
    // A guest stores them, for example with leases.
    let expected = ["96:18:4f:3b:4a:b6", "3a:61:d0:cc:93:4b"];
    assert_eq!([first, second].map(|mac| mac.to_string()), expected);
    assert_eq!(third.to_string(), "52:54:00:00:00:01");
    let other = macs(Uuid::from_u128(UUID.as_u128() ^ 1));
    assert!(![NetMac::Uuid(first), NetMac::Uuid(second)].contains(&other[0]), "{other:?}");
}
