use super::*;
use crate::config::{NetHost, Vhost};

const HOST: Uuid = Uuid::from_u128(1);

fn config(mac: NetMac, number: usize) -> NetConfig {
    let host = NetHost::Tap(None);
    NetConfig {
        number,
        name: "n".to_owned(),
        host,
        mac,
        mtu: None,
        queues: 1,
        vhost: Vhost::Auto,
        offload: true,
        legacy: false,
    }
}

#[test]
fn two_disks_are_two_machines_and_one_is_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    for path in [&a, &b] {
        fs::write(path, "").unwrap();
    }
    let before = machine(&HOST, &a).unwrap();
    assert_ne!(before, machine(&HOST, &b).unwrap());
    assert_ne!(before, machine(&Uuid::from_u128(2), &a).unwrap(), "on another host");
    fs::write(&a, "written").unwrap();
    assert_eq!(machine(&HOST, &a).unwrap(), before);
    // A running machine still uses the old file.
    fs::rename(&b, &a).unwrap();
    assert_ne!(machine(&HOST, &a).unwrap(), before);
    machine(&HOST, &b).unwrap_err();
}

#[test]
fn devices_of_a_machine_differ() {
    let [first, second] = [0, 1].map(|number| config(NetMac::Disk, number).address_in(&HOST));
    assert_ne!(first, second);
    assert_eq!(config(NetMac::Disk, 0).address_in(&HOST), first);
}

#[test]
fn without_a_disk_of_its_own_a_machine_has_no_lasting_address() {
    assert_eq!(lasting(&config(NetMac::Disk, 0), None), None);
    let given = MacAddress([2, 0, 0, 0, 0, 1]);
    for mac in [NetMac::Given(given), NetMac::Uuid(given)] {
        assert_eq!(lasting(&config(mac, 0), None), Some(given));
    }
    assert_ne!(any(), any());
}
