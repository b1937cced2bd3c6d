//! QEMU's network options, translated to nvmm's `--net`.
//!
//! ```text
//! -netdev tap,id=a,ifname=t -device virtio-net-pci,netdev=a,mac=M  -->  --net tap,ifname=t,mac=M,id=a
//! -nic tap,model=virtio-net-pci,mac=M                             -->  --net tap,mac=M
//! -net nic,macaddr=M -net user                                    -->  --net user,mac=M
//! ```
//!
//! The options are only joined: `--net` itself accepts QEMU's keys that mean the same as its own.

use super::{
    given::Given,
    keys::{Keys, joined},
    translator::{Kind, Piece, Translator},
};

/// QEMU's names for nvmm's one network card.
const CARDS: [&str; 5] =
    ["virtio", "virtio-net", "virtio-net-pci", "virtio-net-pci-non-transitional", TRANSITIONAL];
/// The one that drivers from before virtio 1.0 can also use.
const TRANSITIONAL: &str = "virtio-net-pci-transitional";
/// The key of the first part.
const TYPE: &str = "type";

/// Keys of `-device` that nvmm fulfils in any case.
const IDLE: [(&str, &[&str]); 13] = [
    ("bus", &[]),
    ("csum", &["on"]),
    ("disable-legacy", &["on", "true", "auto"]),
    ("disable-modern", &["off", "false"]),
    ("event_idx", &["on"]),
    ("ioeventfd", &["on"]),
    ("iommu_platform", &["off"]),
    ("mq", &[]),
    ("packed", &["off", "false"]),
    ("rombar", &[]),
    ("romfile", &[]),
    ("tx", &[]),
    ("vectors", &[]),
];

/// Keys of `-device` that `--net` also has.
const CARD_KEYS: [&str; 3] = ["mac", "host_mtu", "id"];

/// `-netdev`.
pub(super) fn netdev(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.define(Kind::Netdev, given, given.keys(TYPE)?)
}

/// `-nic`.
pub(super) fn nic(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys(TYPE)?;
    let more = model(translator, given, &mut keys)?;
    emit(translator, given, keys, more)
}

/// `-device virtio-net-pci`.
pub(super) fn card(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("driver")?;
    let driver = keys.take("driver").unwrap_or_default();
    let id = keys.take("netdev");
    let id =
        id.ok_or("nvmm's card has a place on the host; add netdev=ID and -netdev TYPE,id=ID, or say --net")?;
    let mut netdev = translator.refer(Kind::Netdev, &id)?.keys;
    let mut more = if driver == TRANSITIONAL { vec!["legacy=on".to_owned()] } else { Vec::new() };
    if keys.get("disable-legacy").is_some_and(|value| ["off", "false"].contains(&value)) {
        keys.take("disable-legacy");
        more.push("legacy=on".to_owned());
    }
    if let Some(index) = keys.number("bootindex")?
        && translator.boot_indexes.insert(index, (given.clone(), "--net")).is_some()
    {
        return Err(format!("another device has bootindex={index}; give each its own"));
    }
    let idle = keys.take_idle(&IDLE);
    translator.idle_keys(given, &idle);
    if let Some(place) = keys.take("addr") {
        translator.missing(
            given,
            &format!("addr={place}: nvmm gives each device its place on PCI bus 0, by which Linux may call the card otherwise, such as enp0s3"),
        );
    }
    // Of the two names, QMP's set_link uses the card's.
    if keys.get("id").is_none() {
        more.push(format!("id={id}"));
    }
    for key in CARD_KEYS {
        more.extend(keys.take(key).map(|value| format!("{key}={value}")));
    }
    keys.end()?;
    netdev.take("id");
    let idle = netdev.take_idle(&[("vhostfd", &[]), ("vhostfds", &[])]);
    translator.idle_keys(given, &idle);
    emit(translator, given, netdev, more)
}

/// `-net`, which is also an option of nvmm.
pub(super) fn net(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys(TYPE)?;
    match keys.get(TYPE) {
        Some("nic") => {
            keys.take(TYPE);
            translator.legacy_nets[0].push((given.clone(), keys));
        }
        _ => translator.legacy_nets[1].push((given.clone(), keys)),
    }
    Ok(())
}

/// Joins each `-net nic` with the next back end in the list. `is_qemus`: the user expects QEMU's behaviour.
pub(super) fn finish(translator: &mut Translator, is_qemus: bool) {
    let [nics, places] = std::mem::take(&mut translator.legacy_nets);
    let mut places = places.into_iter();
    for (given, mut nic) in nics {
        let joined = match places.next() {
            None => {
                Err("the card has no place on the host; add -net user, -net tap or -net bridge, or say --net"
                    .to_owned())
            }
            Some((_, mut place)) => legacy(translator, &given, &mut nic).and_then(|more| {
                place.take("vlan");
                emit(translator, &given, place, more)
            }),
        };
        if let Err(why) = joined {
            translator.fault(given.at, &format!("{given}: {why}"));
        }
    }
    // Alone, it is nvmm's own option.
    for (given, _) in places {
        translator.pass(&given, "--net");
    }
    let is_net = |piece: &Piece| piece.words.first().is_some_and(|word| word == "--net");
    if is_qemus && !translator.has("nodefaults") && !translator.pieces.iter().any(is_net) {
        translator.differs(
            "the machine has no network card, which QEMU's has unasked; -nic user or --net user adds one",
        );
    }
}

/// The parts of `--net` for `-net nic`.
fn legacy(translator: &mut Translator, given: &Given, nic: &mut Keys) -> Result<Vec<String>, String> {
    let mut more = model(translator, given, nic)?;
    more.extend(nic.take_of(&["macaddr", "mac"])?.map(|mac| format!("mac={mac}")));
    more.extend(nic.take_of(&["name", "id"])?.map(|id| format!("id={id}")));
    let idle = nic.take_idle(&[("vlan", &[]), ("vectors", &[])]);
    translator.idle_keys(given, &idle);
    nic.end()?;
    Ok(more)
}

/// Takes `model=` and returns the corresponding parts.
fn model(translator: &mut Translator, given: &Given, keys: &mut Keys) -> Result<Vec<String>, String> {
    match keys.take("model").as_deref() {
        Some(TRANSITIONAL) => Ok(vec!["legacy=on".to_owned()]),
        Some(model) if CARDS.contains(&model) => Ok(Vec::new()),
        None if keys.get(TYPE) == Some("none") => Ok(Vec::new()),
        None => {
            translator.idle(given, "the card is virtio-net, nvmm's only one; QEMU's would be another");
            Ok(Vec::new())
        }
        Some(model) => Err(format!(
            "model={model}: nvmm's card is virtio-net; say model=virtio-net-pci, or leave it out"
        )),
    }
}

fn emit(translator: &mut Translator, given: &Given, mut keys: Keys, more: Vec<String>) -> Result<(), String> {
    let Some(place) = keys.take(TYPE) else {
        return Err("a place is missing: give user, bridge,br=BRIDGE or tap,ifname=INTERFACE".to_owned());
    };
    let keys = keys.rest().map(|(key, value)| format!("{key}={value}"));
    let words: Vec<_> = [place].into_iter().chain(keys).chain(more).collect();
    translator.emit(given, "--net", Some(joined(words.iter().map(String::as_str))));
    Ok(())
}
