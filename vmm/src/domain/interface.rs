//! `<interface>`.

use super::{
    part::{
        COMMON, Part,
        Rule::{Idle, Missing, Refuse},
        Rules, shown,
    },
    reader::Reader,
};

/// Network cards of QEMU's that nvmm lacks.
const CARDS: [&str; 12] = [
    "rtl8139",
    "e1000",
    "e1000e",
    "e1000-82544gc",
    "e1000-82545em",
    "igb",
    "ne2k_pci",
    "ne2k_isa",
    "pcnet",
    "tulip",
    "usb-net",
    "vmxnet3",
];
/// The card that libvirt uses for an `<interface>` without `<model>`.
const DEFAULT_CARD: &str = "rtl8139";

/// The most network devices to read: more than a machine has room for.
const MOST: usize = 1000;

/// Kinds of interfaces that nvmm lacks.
const KINDS: [(&str, &str); 10] = [
    (
        "direct",
        "nvmm makes no macvtap; make one (`ip link add link eth0 name mv0 type macvtap`), and give --net tap=mv0",
    ),
    ("hostdev", "nvmm passes no devices of the host to a guest; say type='bridge'"),
    ("vdpa", "nvmm passes no devices of the host to a guest; say type='bridge'"),
    ("vhostuser", "nvmm has no vhost-user; say type='bridge'"),
    ("server", "nvmm connects machines by a bridge of the host; say type='bridge'"),
    ("client", "nvmm connects machines by a bridge of the host; say type='bridge'"),
    ("mcast", "nvmm connects machines by a bridge of the host; say type='bridge'"),
    ("udp", "nvmm connects machines by a bridge of the host; say type='bridge'"),
    ("internal", "nvmm connects machines by a bridge of the host; say type='bridge'"),
    ("null", "nvmm's network devices lead somewhere; take it out"),
];

const RULES: &Rules = &[
    ("backend", Idle("nvmm knows its own way to a tap and to passt")),
    ("bandwidth", Missing("nvmm limits no network; the host's tc does")),
    ("filterref", Missing("nvmm filters nothing; the host's nftables does")),
    ("tune", Idle("nvmm decides for itself")),
    ("coalesce", Idle("the tap is the host's")),
    ("rom", Idle("firmware starts from a network by a ROM of its own")),
    ("ip", Idle("the network gives the guest its address")),
    ("route", Idle("the network gives the guest its routes")),
    ("guest", Idle("only containers have it")),
    ("port", Missing("nvmm's port of the bridge reaches all others")),
    ("vlan", Refuse("nvmm tags nothing; make a bridge that is in the VLAN, and give that")),
    (
        "teaming",
        Refuse("nvmm passes no devices of the host to a guest, beside which it would be; take it out"),
    ),
    (
        "virtualport",
        Refuse("nvmm adds a tap to a bridge of Linux alone; add one to the switch, and say type='ethernet'"),
    ),
    ("script", Refuse("nvmm runs no script; take it out")),
    ("downscript", Refuse("nvmm runs no script; take it out")),
    ("@trustGuestRxFilters", Idle("nvmm has no macvtap")),
    ("@managed", Idle("it is about a device of the host")),
];

const DRIVER: &Rules = &[
    ("host", Idle("nvmm's card offers what its place on the host does")),
    ("guest", Idle("nvmm's card offers what its place on the host does")),
    ("@txmode", Idle("nvmm decides for itself")),
    ("@ioeventfd", Idle("nvmm always has one")),
    ("@event_idx", Idle("nvmm's cards have it")),
    ("@rx_queue_size", Idle("nvmm's queues have a size of their own")),
    ("@tx_queue_size", Idle("nvmm's queues have a size of their own")),
    ("@iommu", Missing("nvmm has no IOMMU")),
    ("@ats", Missing("nvmm has no IOMMU")),
    ("@packed", Idle("nvmm's rings are split ones")),
    ("@page_per_vq", Idle("nvmm's cards have one for each queue")),
    ("@rss", Missing("nvmm's cards have no RSS")),
    ("@rss_hash_report", Missing("nvmm's cards have no RSS")),
];

const SOURCE: &Rules = &[
    ("@portid", Idle("it is libvirt's alone")),
    ("@portgroup", Missing("nvmm knows no port groups")),
    ("ip", Missing("nvmm gives the host's side no address; ip address add does")),
    ("route", Missing("nvmm gives the host's side no routes; ip route add does")),
];

/// `<interface>`.
pub(super) fn read<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if reader.is_replaced("net", element) {
        return;
    }
    if reader.nets == MOST {
        return element.refuse(format!(
            "{MOST} network devices are before it, and no machine has room for as many; take it out"
        ));
    }
    let kind = element.attribute("type").unwrap_or_default();
    if let Some((_, why)) = KINDS.iter().find(|(name, _)| *name == kind) {
        return element.refuse(*why);
    }
    let source = element.child("source");
    let target = element.child("target");
    let place = match kind {
        "user" => user(element, source),
        "bridge" => {
            source.and_then(|source| source.needs("bridge")).map(|bridge| format!("bridge={}", part(bridge)))
        }
        "network" => source.and_then(|source| network(reader, source)),
        "ethernet" => Some(ethernet(target)),
        _ => return element.refuse_attribute("type", "give user, bridge, network or ethernet"),
    };
    let Some(place) = place else {
        if source.is_none() {
            element.refuse("it has no <source>; add one");
        }
        return;
    };
    if let Some(source) = source {
        source.rest(&[SOURCE]);
    }
    if let Some(target) = target {
        let own = "the host's side has a name of nvmm's";
        target.rest(&[&[("@dev", Idle(own)), ("@managed", Idle("nvmm makes a tap that is not there"))]]);
    }
    let mut words = vec![place];
    if let Some(mac) = element.child("mac") {
        words.extend(mac.needs("address").map(|address| format!("mac={}", part(address))));
        let own = "it is libvirt's alone";
        mac.rest(&[&[("@type", Idle(own)), ("@check", Idle(own)), ("@currentAddress", Idle(own))]]);
    }
    if let Some(mtu) = element.child("mtu") {
        words.extend(mtu.number("size").map(|size| format!("mtu={size}")));
    }
    model(element, &mut words);
    if let Some(driver) = element.child("driver") {
        let movers = [("vhost", Some("on")), ("qemu", Some("off")), ("vfio", None)];
        let vhost = driver.choice("name", &movers).flatten().filter(|_| kind != "user");
        words.extend(vhost.map(|vhost| format!("vhost={vhost}")));
        words.extend(
            driver.number("queues").filter(|_| kind != "user").map(|queues| format!("queues={queues}")),
        );
        driver.rest(&[DRIVER]);
    }
    if let Some(link) = element.child("link")
        && link.choice("state", &[("up", true), ("down", false)]) == Some(false)
    {
        link.missing("the cable is plugged in at first; set_link on the control socket pulls it out");
    }
    element.rest(&[COMMON, RULES]);
    // The name that nvmm will give it.
    let name = format!("net{}", reader.nets);
    reader.nets += 1;
    reader.boots(element, "net", name);
    reader.emit(element, "net", words.join(","));
}

/// `<model type=''/>`.
fn model(element: Part<'_, '_>, words: &mut Vec<String>) {
    let model = element.child("model");
    let name = model.and_then(|model| model.attribute("type")).unwrap_or(DEFAULT_CARD).to_ascii_lowercase();
    match name.as_str() {
        "virtio" | "virtio-non-transitional" => {}
        "virtio-transitional" => words.push("legacy=on".to_owned()),
        card if CARDS.contains(&card) => model.unwrap_or(element).missing(format!(
            "nvmm has no {card}; the guest gets a card by virtio, for which it needs a driver"
        )),
        _ => model
            .unwrap_or(element)
            .refuse(format!("nvmm has no {}; say <model type='virtio'/>", shown(&name))),
    }
}

/// The bridge of one of libvirt's networks.
fn network(reader: &Reader<'_, '_>, source: Part<'_, '_>) -> Option<String> {
    let network = source.needs("network")?;
    // A running machine's XML contains the bridge.
    if let Some(bridge) = source.attribute("bridge") {
        return Some(format!("bridge={}", part(bridge)));
    }
    match (reader.bridge_of)(network) {
        Ok(bridge) => Some(format!("bridge={}", part(&bridge))),
        Err(why) => {
            source.refuse_attribute("network", why);
            None
        }
    }
}

fn ethernet(target: Option<Part<'_, '_>>) -> String {
    let name = target.and_then(|target| target.attribute("dev")).filter(|name| !name.is_empty());
    name.map_or_else(|| "tap".to_owned(), |name| format!("tap={}", part(name)))
}

/// `--net user`, with the forwarded ports.
fn user(element: Part<'_, '_>, source: Option<Part<'_, '_>>) -> Option<String> {
    let mut place = "user".to_owned();
    if let Some(source) = source {
        source.rest(&[&[("@dev", Idle("passt takes the host's way out"))]]);
    }
    for forward in element.all("portForward") {
        let protocol = forward.choice("proto", &[("tcp", "tcp"), ("udp", "udp")]);
        let Some(protocol) = protocol else {
            forward.refuse("it has no proto; give tcp or udp");
            return None;
        };
        let address = forward.attribute("address").unwrap_or("0.0.0.0");
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        forward.rest(&[&[("@dev", Missing("a port of all of the host's interfaces leads to the guest"))]]);
        for range in forward.all("range") {
            place.push_str(&ports(range, protocol, &address)?);
        }
    }
    Some(place)
}

/// The most ports of a range, since each becomes a part of the option.
const MOST_PORTS: u64 = 64;

/// `<range start='' end='' to=''/>`.
fn ports(range: Part<'_, '_>, protocol: &str, address: &str) -> Option<String> {
    let start = range.number("start");
    let (end, to) = (range.number("end").or(start), range.number("to").or(start));
    if range.switch("exclude") == Some(true) {
        range.missing("a port that is in no other range leads nowhere in any case");
        return Some(String::new());
    }
    let (Some(start), Some(end), Some(to)) = (start, end, to) else {
        range.refuse("it has no start; add one");
        return None;
    };
    if end < start || end - start >= MOST_PORTS || end > u64::from(u16::MAX) || to > u64::from(u16::MAX) {
        range.refuse(format!("give ports from 1 to 65535, and at most {MOST_PORTS} of them"));
        return None;
    }
    let all = (start..=end)
        .map(|port| format!(",hostfwd={protocol}:{}:{port}-:{}", part(address), to + (port - start)));
    Some(all.collect())
}

/// Escapes text as a part of an option.
fn part(text: &str) -> String {
    text.replace(',', ",,")
}
