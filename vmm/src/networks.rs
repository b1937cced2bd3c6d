//! The network devices of a running machine, as QMP reports them.

use devices::{
    net::MacAddress,
    virtio::net::{RxFilter, RxState, Total, Totals},
};
use serde_json::{Value, json};

/// The current state of a network device.
#[derive(Clone, Debug)]
pub struct NetworkFacts {
    /// The name in messages.
    pub(crate) name: String,
    /// The back end, in the form of QEMU's `info network`, such as `type=tap,ifname=tap0`.
    pub(crate) place: String,
    /// The MAC address, unless the driver has set another.
    pub(crate) mac: MacAddress,
    /// The MTU that the device offers its driver.
    pub(crate) mtu: Option<u16>,
    /// The number of its queue pairs.
    pub(crate) queues: u16,
    /// The link is up.
    pub(crate) link_is_up: bool,
    /// The frames transferred; none if the kernel transfers them by vhost-net.
    pub(crate) totals: Option<Totals>,
    /// The frames that its driver wants to receive.
    pub(crate) filter: RxFilter,
}

/// A network device in the answer to `nvmm-network`. The command is nvmm's own, since QEMU counts no frames.
pub(crate) fn info(device: &NetworkFacts) -> Value {
    let NetworkFacts { name, place, mac, mtu, queues, link_is_up, totals, .. } = device;
    let mut info = json!({
        "name": name,
        "place": place,
        "mac": mac.to_string(),
        "queues": queues,
        "link-up": link_is_up,
        "vhost": totals.is_none(),
    });
    if let Some(totals) = totals {
        info["received"] = total(&totals.received);
        info["sent"] = total(&totals.sent);
    }
    if let Some(mtu) = mtu {
        info["mtu"] = json!(mtu);
    }
    info
}

/// The frames that its driver wants: QMP's `RxFilterInfo`. No device of nvmm filters by VLAN.
pub(crate) fn rx_filter(device: &NetworkFacts) -> Value {
    let RxFilter { promiscuous, unicast, multicast, broadcast_allowed, main_mac, .. } = &device.filter;
    let table = |table: &Option<Vec<MacAddress>>| -> Vec<String> {
        table.iter().flatten().map(ToString::to_string).collect()
    };
    json!({
        "name": device.name,
        "promiscuous": promiscuous,
        "multicast": multicast.name(),
        "unicast": unicast.name(),
        "vlan": RxState::All.name(),
        "broadcast-allowed": broadcast_allowed,
        "multicast-overflow": device.filter.multicast_table.is_none(),
        "unicast-overflow": device.filter.unicast_table.is_none(),
        "main-mac": main_mac.to_string(),
        "vlan-table": [],
        "unicast-table": table(&device.filter.unicast_table),
        "multicast-table": table(&device.filter.multicast_table),
    })
}

fn total(total: &Total) -> Value {
    let Total { frames, bytes, link_down, unwanted, no_room, malformed, refused } = total;
    json!({
        "frames": frames,
        "bytes": bytes,
        "dropped": {
            "link-down": link_down,
            "unwanted": unwanted,
            "no-room": no_room,
            "malformed": malformed,
            "refused": refused,
        },
    })
}

#[cfg(test)]
#[path = "networks_test.rs"]
mod tests;
