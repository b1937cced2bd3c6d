//! QEMU's words for the network, as nvmm's `--net`.
//!
//! ```text
//! -netdev tap,id=a,ifname=t -device virtio-net-pci,netdev=a,mac=M  -->  --net tap,ifname=t,mac=M,id=a
//! -nic tap,model=virtio-net-pci,mac=M                             -->  --net tap,mac=M
//! ```
//!
//! Only the options are joined: `--net` itself knows the keys of QEMU's that say the same as its own.

use std::{borrow::Cow, ffi::OsString};

use super::given::{Given, Value, is_always, options, respell};

/// The options that are respelled.
pub(super) const OPTIONS: [&str; 2] = ["netdev", "nic"];

/// QEMU's names for nvmm's one network card.
const CARDS: [&str; 4] = ["virtio-net-pci", "virtio-net", "virtio-net-pci-non-transitional", TRANSITIONAL];
/// The one of them that drivers from before virtio 1.0 can use.
const TRANSITIONAL: &str = "virtio-net-pci-transitional";

/// Another one, for `-nic` alone.
const MODEL: &str = "virtio";

const LEGACY: &str = "-net nic is QEMU's: leave it out; --net user, --net bridge=BRIDGE or --net tap=INTERFACE is the card and its place in one";

/// Keys of `-device` that `--net` has too.
const CARD_KEYS: [&str; 3] = ["mac", "host_mtu", "id"];

/// The command line, with two dashes, with `--net` instead of QEMU's words for the network. Those that can't be had are left out, and told
/// of: as QEMU spells each, with what to do instead.
pub(in crate::cli) fn as_net(words: &[OsString]) -> (Cow<'_, [OsString]>, Vec<String>) {
    let mut netdevs: Vec<_> = options(words, &OPTIONS)
        .filter(|(_, given)| given.name == "netdev" && !given.value.is_empty())
        .map(|(_, given)| Some(Value::of(given.value)))
        .collect();
    let (respelled, mut faults) = respell(words, &OPTIONS, |given| {
        let net = match given.name {
            name if OPTIONS.contains(&name) && given.value.is_empty() => {
                return Some(Err(format!(
                    "-{name} needs a value: -{name} user, -{name} bridge,br=BRIDGE or -{name} tap,ifname=INTERFACE"
                )));
            }
            "netdev" => return Some(Ok(None)),
            "nic" => Value::of(given.value).nic(),
            _ if is_card(given) => Value::of(given.value).card(&mut netdevs),
            _ if is_legacy(given) => Err(LEGACY.to_owned()),
            _ => return None,
        };
        Some(net.map(|net| Some(("--net", net))))
    });
    for left in netdevs.into_iter().flatten() {
        let id = left.get("id").unwrap_or("ID");
        let word = left.first;
        faults.push(format!("-netdev {word} is QEMU's: without a card it is nothing; add -device virtio-net-pci,netdev={id}, or say --net {word}"));
    }
    (respelled, faults)
}

fn is_card(given: &Given<'_>) -> bool {
    given.name == "device" && CARDS.contains(&Value::of(given.value).first)
}

/// Returns whether it is `-net nic`, which `-net user` and its like need at their side in QEMU.
fn is_legacy(given: &Given<'_>) -> bool {
    given.name == "net" && Value::of(given.value).first == "nic"
}

impl<'a> Value<'a> {
    /// The value of `--net` for that of `-nic`.
    fn nic(mut self) -> Result<String, String> {
        if let Some(model) = self.get("model").filter(|model| *model != MODEL && !CARDS.contains(model)) {
            return Err(format!(
                "-nic model={model} is QEMU's: nvmm's card is virtio-net; say model=virtio-net-pci, or leave it out"
            ));
        }
        let more = if self.get("model") == Some(TRANSITIONAL) { &["legacy=on"][..] } else { &[] };
        self.remove("model");
        Ok(self.into_net(more))
    }

    /// The value of `--net` for that of `-device`, with that of its `-netdev`, which is taken out of the list.
    fn card(self, netdevs: &mut [Option<Value<'a>>]) -> Result<String, String> {
        let card = self.first;
        let refused = |why: &str| format!("-device {card} is QEMU's: {why}");
        let Some(id) = self.get("netdev") else {
            return Err(refused(
                "nvmm's card has a place on the host; add netdev=ID and -netdev, or say --net",
            ));
        };
        let is_named =
            |netdev: &&mut Option<Value<'_>>| netdev.as_ref().is_some_and(|it| it.get("id") == Some(id));
        let Some(mut netdev) = netdevs.iter_mut().find(is_named).and_then(Option::take) else {
            return Err(refused(&format!(
                "there is no -netdev for netdev={id}, or another card has it; add one with id={id}"
            )));
        };
        let mut keys = if card == TRANSITIONAL { vec!["legacy=on"] } else { Vec::new() };
        for (key, value, part) in self.pairs() {
            match key {
                "netdev" | "mq" => {}
                "disable-legacy" if matches!(value, "off" | "false") => keys.push("legacy=on"),
                _ if CARD_KEYS.contains(&key) => keys.push(part),
                _ if is_always(key, value) => {}
                _ => return Err(refused(&format!("nvmm's card has no '{part}'; leave it out"))),
            }
        }
        // Of the two names, QMP's set_link wants that of the card.
        if self.get("id").is_some() {
            netdev.remove("id");
        }
        Ok(netdev.into_net(&keys))
    }

    fn into_net(self, more: &[&str]) -> String {
        let parts = [self.first].into_iter().chain(self.keys).chain(more.iter().copied());
        parts.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
#[path = "net_test.rs"]
mod tests;
