use super::*;

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

fn respelled(line: &str) -> String {
    let words = words(line);
    let (net, faults) = as_net(&words);
    assert_eq!(faults, [""; 0], "{line}");
    net[1..].iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_netdev_and_its_card_are_one_option() {
    for (line, expected) in [
        (
            "--netdev tap,id=a,ifname=t0,script=no --device virtio-net-pci,netdev=a,mac=52:54:00:00:00:01",
            "--net tap,id=a,ifname=t0,script=no,mac=52:54:00:00:00:01",
        ),
        // The order is that of the cards, and the card's name counts.
        (
            "--device virtio-net-pci,netdev=b,id=nic0 --netdev=user,id=a --kernel k --netdev bridge,id=b,br=br1 --device=virtio-net,netdev=a",
            "--net bridge,br=br1,id=nic0 --kernel k --net user,id=a",
        ),
        (
            "--netdev tap,id=a,queues=4,vhost=off --device virtio-net-pci,mq=on,vectors=10,netdev=a,host_mtu=9000,romfile=,disable-legacy=on,disable-modern=off",
            "--net tap,id=a,queues=4,vhost=off,host_mtu=9000",
        ),
        (
            "--netdev user,id=a --device virtio-net-pci,netdev=a,disable-legacy=off",
            "--net user,id=a,legacy=on",
        ),
        ("--netdev user,id=a --device virtio-net-pci-transitional,netdev=a", "--net user,id=a,legacy=on"),
        ("--nic user,model=virtio-net-pci-transitional", "--net user,legacy=on"),
        ("--nic user,hostfwd=tcp::2222-:22", "--net user,hostfwd=tcp::2222-:22"),
        (
            "--nic=bridge,br=br1,model=virtio-net-pci,mac=52:54:00:00:00:01",
            "--net bridge,br=br1,mac=52:54:00:00:00:01",
        ),
        ("--nic none --net none", "--net none --net none"),
        ("--nic tap,model=virtio,id=a,,b", "--net tap,id=a,,b"),
    ] {
        assert_eq!(respelled(line), expected);
    }
}

#[test]
fn other_words_stay_as_they_are() {
    for line in [
        "--net user",
        "--net tap,model=x",
        "--kernel k --device isa-debug-exit",
        "--kernel k -- --nic user",
        "nic user",
    ] {
        assert!(matches!(as_net(&words(line)), (Cow::Borrowed(_), _)), "{line}");
    }
    use std::os::unix::ffi::OsStringExt;
    let no_text = [OsString::from("nvmm"), "--nic".into(), OsString::from_vec(b"\xff".into())];
    assert!(matches!(as_net(&no_text), (Cow::Borrowed(_), _)));
}

#[test]
fn what_can_not_be_had_is_refused_all_at_once() {
    for (line, expected) in [
        (
            "--netdev user,id=a",
            "-netdev user is QEMU's: without a card it is nothing; add -device virtio-net-pci,netdev=a, or say --net user",
        ),
        (
            "--device virtio-net-pci,netdev=a",
            "-device virtio-net-pci is QEMU's: there is no -netdev for netdev=a",
        ),
        (
            "--device virtio-net-pci",
            "-device virtio-net-pci is QEMU's: nvmm's card has a place on the host; add netdev=ID",
        ),
        (
            "--nic user,model=e1000",
            "-nic model=e1000 is QEMU's: nvmm's card is virtio-net; say model=virtio-net-pci",
        ),
        ("--nic", "-nic needs a value: -nic user, -nic bridge,br=BRIDGE or -nic tap,ifname=INTERFACE"),
        ("--nic --memory 1G", "-nic needs a value"),
        ("--nic=", "-nic needs a value"),
        ("--netdev", "-netdev needs a value: -netdev user, -netdev bridge,br=BRIDGE"),
        ("--net nic,model=virtio --net user", "-net nic is QEMU's: leave it out; --net user"),
        (
            "--netdev user,id=a --device virtio-net-pci,netdev=a,addr=3",
            "-device virtio-net-pci is QEMU's: nvmm's card has no 'addr=3'; leave it out",
        ),
        (
            "--netdev user,id=a --device virtio-net-pci,netdev=a,disable-modern=on",
            "nvmm's card has no 'disable-modern=on'; leave it out",
        ),
    ] {
        let words = words(line);
        let (rest, faults) = as_net(&words);
        assert!(!rest.iter().any(|word| word == "--device"), "{line}: {rest:?}");
        assert_eq!(faults.len(), 1, "{line}: {faults:?}");
        assert!(faults[0].contains(expected), "{line}: {faults:?}");
    }
    let twice = "--netdev user,id=a --device virtio-net-pci,netdev=a --device virtio-net-pci,netdev=a --nic user,model=ne2k_pci";
    assert_eq!(as_net(&words(twice)).1.len(), 2);
}
