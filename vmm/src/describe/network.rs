//! A description of a network device, for `--dry-run`.

use std::fmt;

use devices::{net::MacAddress, printable::ToPrintable};
use serde::Serialize;

use crate::config::{NetConfig, NetMac};

/// The description of a network device.
#[derive(Debug, Serialize)]
pub struct NetworkDescription {
    /// The name in messages and on the control socket.
    name: String,
    /// The host's side, in the words of `--net`.
    host: String,
    /// The address, if it is the same in every run.
    mac: Option<String>,
    /// The origin of the address: `given`, `uuid`, `disk` or `random`.
    mac_from: &'static str,
    mtu: Option<u16>,
    queues: u16,
    offload: bool,
    legacy: bool,
}

impl NetworkDescription {
    pub(crate) fn new(config: &NetConfig, mac: Option<MacAddress>) -> Self {
        Self {
            name: config.name.clone(),
            host: config.host.to_string(),
            mac: mac.map(|mac| mac.to_string()),
            mac_from: match config.mac {
                NetMac::Given(_) => "given",
                NetMac::Uuid(_) => "uuid",
                NetMac::Disk if mac.is_some() => "disk",
                NetMac::Disk => "random",
            },
            mtu: config.mtu,
            queues: config.queues,
            offload: config.offload,
            legacy: config.legacy,
        }
    }
}

/// Writes two lines: the host's side, and the guest's device.
impl fmt::Display for NetworkDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, host, mac, mac_from, mtu, queues, offload, legacy } = self;
        write!(f, "  {}: {}, ", name.printable(), host.printable())?;
        match (mac, *mac_from) {
            (Some(mac), "given") => write!(f, "address {mac}")?,
            (Some(mac), from) => write!(f, "address {mac}, made of the {from}")?,
            (None, _) => write!(f, "another address at each start")?,
        }
        let plural = if *queues == 1 { "" } else { "s" };
        write!(f, "\n    {queues} pair{plural} of queues, offload={}", if *offload { "on" } else { "off" })?;
        if *legacy {
            write!(f, ", legacy=on")?;
        }
        if let Some(mtu) = mtu {
            write!(f, ", MTU {mtu}")?;
        }
        writeln!(f)
    }
}
