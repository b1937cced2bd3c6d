//! The network devices of a machine that is there, as QMP tells of them.

use devices::{
    net::MacAddress,
    virtio::net::{Total, Totals},
};
use serde_json::{Value, json};

/// A network device, as it is now.
#[derive(Clone, Debug)]
pub struct NetworkFacts {
    /// The name that messages have for it.
    pub(crate) name: String,
    /// Its place on the host in the words of QEMU's `info network`, such as `type=tap,ifname=tap0`.
    pub(crate) place: String,
    /// Its address, unless the driver has set another.
    pub(crate) mac: MacAddress,
    /// The MTU that its driver is told.
    pub(crate) mtu: Option<u16>,
    /// How many pairs of queues it has.
    pub(crate) queues: u16,
    /// Its link is up.
    pub(crate) link_is_up: bool,
    /// The frames that passed.
    pub(crate) totals: Totals,
}

/// A network device as `nvmm-network` has it: a command of nvmm's own, since QEMU counts no frames.
pub(crate) fn info(device: &NetworkFacts) -> Value {
    let NetworkFacts { name, place, mac, mtu, queues, link_is_up, totals } = device;
    let mut info = json!({
        "name": name,
        "place": place,
        "mac": mac.to_string(),
        "queues": queues,
        "link-up": link_is_up,
        "received": total(&totals.received),
        "sent": total(&totals.sent),
    });
    if let Some(mtu) = mtu {
        info["mtu"] = json!(mtu);
    }
    info
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
