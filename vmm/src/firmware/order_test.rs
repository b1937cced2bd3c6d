use super::*;

fn order(kind: Kind, words: &[&str], kinds: &[BootKind]) -> Order {
    let devices: Vec<_> = kinds.iter().map(|&kind| BootDevice { kind, id: None }).collect();
    let order = words.iter().map(|&word| word.to_owned()).collect();
    Order::of(kind, &BootConfig { order, menu: false }, &devices).unwrap()
}

#[test]
fn a_bios_tries_one_disk_and_the_cd() {
    use BootKind::{Cdrom, Disk, Net};
    let devices = [Disk, Cdrom, Net, Disk, Disk];
    for (words, told, tried) in [
        (&[][..], &[0, 3, 4, 1][..], &[0, 1][..]),
        (&["disk2"], &[3, 0, 4, 1], &[3, 1]),
        (&["cdrom"], &[1, 0, 3, 4], &[1, 0]),
        (&["net", "disk3", "disk1"], &[4, 0, 3, 1], &[4, 1]),
    ] {
        let expected = Order { told: told.to_vec(), tried: tried.to_vec() };
        assert_eq!(order(Kind::Bios, words, &devices), expected, "{words:?}");
    }
    assert_eq!(order(Kind::Bios, &["net"], &[Net]), Order { told: vec![], tried: vec![] });
}

#[test]
fn uefi_tries_all_and_gets_the_requested_order() {
    use BootKind::{Cdrom, Disk, Net};
    let devices = [Disk, Cdrom, Net, Disk];
    let expected = Order { told: vec![], tried: vec![0, 3, 1, 2] };
    assert_eq!(order(Kind::Uefi, &[], &devices), expected, "its own variables may say more");
    let expected = Order { told: vec![2, 3], tried: vec![2, 3, 0, 1] };
    assert_eq!(order(Kind::Uefi, &["net", "disk2"], &devices), expected);
}
