use super::*;

fn boot(text: &str) -> Result<BootConfig, String> {
    BootConfig::parse(OsStr::new(text)).map_err(|error| error.to_string())
}

#[test]
fn the_order_has_commas_between_its_words_and_menu_beside_it() {
    for (text, order, menu) in [
        ("order=disk2,net", &["disk2", "net"][..], false),
        ("order=disk2,net,menu=on", &["disk2", "net"], true),
        ("menu=on,order=root,cdrom", &["root", "cdrom"], true),
        ("disk1,menu=off", &["disk1"], false),
        ("menu=on", &[], true),
        ("order=dcn", &["dcn"], false),
        ("order=a,,b", &["a,b"], false),
    ] {
        let order = order.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(boot(text), Ok(BootConfig { order, menu }), "{text}");
    }
}

#[test]
fn words_without_a_meaning_are_refused() {
    for (text, why) in [
        ("", "a device is missing"),
        ("order=", "a device is missing"),
        ("order=disk1,", "a device is missing"),
        ("menu=maybe", "'menu=maybe': give menu=on or menu=off"),
        ("menu=on,disk1", "'disk1' means nothing here"),
        ("strict=on", "'strict' means nothing here"),
        ("once=d", "nvmm has one order for all starts"),
        ("order=c,order=d", "'order' is there twice"),
    ] {
        let error = boot(text).unwrap_err();
        assert!(error.starts_with(&format!("--boot {text}: ")) && error.contains(why), "{text}: {error}");
    }
}

fn machine() -> Vec<BootDevice> {
    [
        (BootKind::Disk, None),
        (BootKind::Disk, Some("data")),
        (BootKind::Net, Some("net0")),
        (BootKind::Cdrom, None),
        (BootKind::Disk, None),
    ]
    .into_iter()
    .map(|(kind, id)| BootDevice { kind, id: id.map(str::to_owned) })
    .collect()
}

#[test]
fn devices_are_found_by_name_number_and_kind_and_tried_once() {
    for (text, expected) in [
        ("disk1", vec![0]),
        ("disk3,disk2", vec![4, 1]),
        ("data,disk", vec![1, 0, 4]),
        ("n", vec![2]),
        ("dc", vec![3, 0, 1, 4]),
        ("cdrom1,net0,disk1,cdrom", vec![3, 2, 0]),
        ("menu=on", vec![]),
    ] {
        assert_eq!(boot(text).unwrap().find(&machine()).unwrap(), expected, "{text}");
    }
    let mut named = machine();
    for id in ["disk3", "disk7", "net", "dc", "ab"] {
        named[4].id = Some(id.to_owned());
        assert_eq!(boot(id).unwrap().find(&named).unwrap(), [4], "an id counts first");
    }
}

#[test]
fn an_id_that_is_the_number_of_another_device_is_refused() {
    let mut named = machine();
    for (id, other) in [("disk1", 4), ("disk3", 1), ("cdrom1", 0)] {
        named[other].id = Some(id.to_owned());
        let error = boot(id).unwrap().find(&named).unwrap_err().to_string();
        let why = "is the id of one device, and also means another by its place";
        assert!(error.starts_with(&format!("--boot order={id}: {id} {why}")), "{error}");
        named[other].id = None;
    }
}

#[test]
fn a_device_that_is_not_there_is_named_with_those_that_are() {
    for (text, word) in [("disk4", "disk4"), ("disk0", "disk0"), ("disk1,net1", "net1"), ("root", "root")] {
        let error = boot(text).unwrap().find(&machine()).unwrap_err().to_string();
        let why =
            format!("there is no {word}; the devices to start from are: disk1, data, net0, cdrom1, disk3");
        assert_eq!(error, format!("--boot order={text}: {why}"));
    }
    let error =
        |text: &str, devices: &[BootDevice]| boot(text).unwrap().find(devices).unwrap_err().to_string();
    assert_eq!(
        error("n", &machine()[..1]),
        "--boot order=n: there is no n; the devices to start from are: disk1"
    );
    assert_eq!(
        error("disk", &[]),
        "--boot order=disk: there is no disk; the devices to start from are: none"
    );
    assert_eq!(error("ac", &machine()), "--boot order=ac: 'a' is a floppy drive, and nvmm has none");
}
