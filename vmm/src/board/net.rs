//! `--net`: the host's side of a network device, which outlives the machine's resets.

mod mac;
mod planned;
mod watch;

use std::sync::Arc;

use anyhow::Context;
use devices::{
    net::{InterfaceName, Network, Passt, PasstOptions, Tap},
    virtio::net::{Lasting, Net, NetOptions},
};

use self::{planned::Planned, watch::Watch};
use super::{Board, HostSide, OpenDevice, Opening};
use crate::{
    config::{BootDevice, BootKind, NetConfig, NetHost, Vhost},
    describe::NetworkDescription,
    networks::NetworkFacts,
};

/// The pattern for taps without a name: they get the first such name that is free.
const NEW_TAP: &str = "nvmm%d";

/// The host's side of a network device, with its counters. It outlives the machine's resets.
#[derive(Clone, Debug)]
pub(super) struct OpenNet {
    config: NetConfig,
    host: Arc<dyn Network>,
    lasting: Lasting,
    /// The host's side in the words of QEMU's `info network`.
    place: String,
    /// The MAC address will be the same in the next run.
    mac_lasts: bool,
}

impl OpenNet {
    /// Opens or makes the host's side. For a machine that will not run, nothing is opened.
    ///
    /// # Errors
    ///
    /// The interface doesn't exist, another program uses it, or this user has no permission.
    pub(super) fn open(config: &NetConfig, opening: &Opening<'_>) -> anyhow::Result<Self> {
        let (host, place) = match opening.link {
            Some(_) => open(config).with_context(|| format!("--net {}", config.host))?,
            None => (Planned::of(config), String::new()),
        };
        let mac = mac::lasting(config, opening.own_disk.as_deref());
        let options = NetOptions {
            mtu: config.mtu.or_else(|| host.mtu().filter(|mtu| *mtu >= NetOptions::MIN_MTU)),
            pairs: config.queues,
            offload: config.offload,
            legacy: config.legacy,
            ..NetOptions::new(mac.unwrap_or_else(mac::any))
        };
        if let Some(link) = opening.link {
            log::info!("{}: {} ({})", config.name, host.name(), options.mac);
            link.serve(Watch::new(Arc::clone(&host)));
        }
        Ok(Self { config: config.clone(), host, lasting: options.into(), place, mac_lasts: mac.is_some() })
    }

    fn boot_device(&self) -> BootDevice {
        BootDevice { kind: BootKind::Net, id: Some(self.config.name.clone()) }
    }
}

/// Opens the host's side of a device. Returns it together with its description in the words of QEMU's `info network`.
fn open(config: &NetConfig) -> anyhow::Result<(Arc<dyn Network>, String)> {
    let NetConfig { host, mtu, queues, vhost, .. } = config;
    let by_tap = |mut tap: Tap, more: &str| {
        let by_kernel = match vhost {
            Vhost::Off => false,
            Vhost::On => tap.use_vhost().map(|()| true).context("vhost=on")?,
            Vhost::Auto => {
                tap.use_vhost().inspect_err(|error| log::debug!("{}: {error}", config.name)).is_ok()
            }
        };
        let kernels = if by_kernel { ",vhost=on" } else { "" };
        let place = format!("type=tap,ifname={}{more}{kernels}", tap.interface());
        anyhow::Ok((Arc::new(tap) as Arc<dyn Network>, place))
    };
    Ok(match host {
        NetHost::Tap(name) => {
            by_tap(Tap::open(name.as_ref().map_or(NEW_TAP, InterfaceName::as_str), *queues, *mtu)?, "")?
        }
        NetHost::Bridge { name, helper } => {
            let tap = Tap::on_bridge(name.as_str(), *queues, *mtu, helper.as_deref())?;
            by_tap(tap, &format!(",br={name}"))?
        }
        NetHost::User(forwards) => {
            let options = PasstOptions { forwards: forwards.clone(), mtu: *mtu, program: None };
            let forwards = forwards.iter().map(|forward| format!(",hostfwd={forward}"));
            let place = ["type=user".to_owned()].into_iter().chain(forwards).collect();
            (Arc::new(Passt::start(&options)?), place)
        }
        NetHost::Descriptors(fds) => by_tap(Tap::inherited(fds)?, "")?,
    })
}

impl OpenDevice for OpenNet {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let net = Net::new(Arc::clone(&self.host), &self.lasting);
        let plugged = board.virtio(Box::new(net), Arc::new(self.clone()));
        let address = plugged.with_context(|| HostSide::name(self))?;
        board.can_boot(self.boot_device(), address, "ethernet", "ethernet-phy@0");
        Ok(())
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }

    fn bootable(&self) -> Option<BootDevice> {
        Some(self.boot_device())
    }

    fn network(&self) -> Option<NetworkDescription> {
        let mac = self.mac_lasts.then_some(self.lasting.options.mac);
        Some(NetworkDescription::new(&self.config, mac))
    }
}

impl HostSide for OpenNet {
    fn name(&self) -> String {
        self.config.name.clone()
    }

    fn backend(&self) -> Option<String> {
        Some(self.host.name())
    }

    fn work(&self) -> Option<String> {
        Some(match self.host.vhost(0) {
            Some(_) => "the kernel moves the frames by vhost-net; `ip -s link` counts them".to_owned(),
            None => self.lasting.counters.total().to_string(),
        })
    }

    fn network(&self) -> Option<NetworkFacts> {
        let NetOptions { mac, mtu, pairs, .. } = self.lasting.options;
        Some(NetworkFacts {
            name: self.config.name.clone(),
            place: self.place.clone(),
            mac,
            mtu,
            queues: pairs,
            link_is_up: self.lasting.link_is_up(),
            totals: self.host.vhost(0).is_none().then(|| self.lasting.counters.total()),
            filter: self.lasting.rx_filter(),
        })
    }

    fn set_link(&self, up: bool) -> anyhow::Result<()> {
        if up {
            self.host.check().with_context(|| {
                format!("{}: {} is gone; start nvmm again to have one", self.config.name, self.host.name())
            })?;
        }
        self.lasting.set_link(up);
        Ok(())
    }

    fn announce(&self) {
        self.lasting.announce();
    }
}
