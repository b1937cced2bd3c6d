//! QEMU's words for the network, as nvmm's `--net`.
//!
//! ```text
//! -netdev tap,id=a,ifname=t -device virtio-net-pci,netdev=a,mac=M  -->  --net tap,ifname=t,mac=M,id=a
//! -nic tap,model=virtio-net-pci,mac=M                             -->  --net tap,mac=M
//! ```
//!
//! Only the options are joined: `--net` itself knows the keys of QEMU's that say the same as its own.

use std::{borrow::Cow, ffi::OsString};

/// The options that are respelled.
pub(super) const OPTIONS: [&str; 2] = ["netdev", "nic"];

/// QEMU's names for nvmm's one network card.
const CARDS: [&str; 4] = ["virtio-net-pci", "virtio-net", "virtio-net-pci-non-transitional", TRANSITIONAL];
/// The one of them that drivers from before virtio 1.0 can use.
const TRANSITIONAL: &str = "virtio-net-pci-transitional";

/// Another one, for `-nic` alone.
const MODEL: &str = "virtio";

const LEGACY: &str = "-net nic is QEMU's: leave it out; --net user, --net bridge=BRIDGE or --net tap=INTERFACE is the card and its place in one";

/// Keys of `-device` that say what nvmm does in any case.
const ALWAYS: [(&str, &[&str]); 7] = [
    ("mq", &[]),
    ("vectors", &[]),
    ("romfile", &[]),
    ("rombar", &[]),
    ("disable-legacy", &["on", "true"]),
    ("disable-modern", &["off", "false"]),
    ("packed", &["off", "false"]),
];

/// Keys of `-device` that `--net` has too.
const CARD_KEYS: [&str; 3] = ["mac", "host_mtu", "id"];

/// An option of the command line.
struct Given<'a> {
    name: &'a str,
    value: &'a str,
    /// The words that it takes: one with `=`, else two.
    words: usize,
}

/// A value: its first word, and the keys after it.
struct Value<'a> {
    first: &'a str,
    keys: Vec<&'a str>,
}

/// The command line, with two dashes, with `--net` instead of QEMU's words for the network. Those that can't be had are left out, and told
/// of: as QEMU spells each, with what to do instead.
pub(in crate::cli) fn as_net(words: &[OsString]) -> (Cow<'_, [OsString]>, Vec<String>) {
    let ours = |given: &Given<'_>| OPTIONS.contains(&given.name) || given.is_card() || given.is_legacy();
    if !options(words).any(|(_, given)| ours(&given)) {
        return (Cow::Borrowed(words), Vec::new());
    }
    let mut netdevs: Vec<_> = options(words)
        .filter(|(_, given)| given.name == "netdev" && !given.value.is_empty())
        .map(|(_, given)| Some(Value::of(given.value)))
        .collect();
    let (mut respelled, mut faults, mut skip) = (Vec::new(), Vec::new(), 0);
    let mut found = options(words).peekable();
    for (at, word) in words.iter().enumerate() {
        if let Some((_, given)) = found.next_if(|(place, _)| *place == at) {
            let net = match given.name {
                name if OPTIONS.contains(&name) && given.value.is_empty() => Some(Err(format!(
                    "-{name} needs a value: -{name} user, -{name} bridge,br=BRIDGE or -{name} tap,ifname=INTERFACE"
                ))),
                "netdev" => Some(Ok(None)),
                "nic" => Some(Value::of(given.value).nic().map(Some)),
                _ if given.is_card() => Some(Value::of(given.value).card(&mut netdevs).map(Some)),
                _ if given.is_legacy() => Some(Err(LEGACY.to_owned())),
                _ => None,
            };
            skip = if net.is_some() { given.words } else { 0 };
            match net {
                Some(Ok(Some(net))) => respelled.extend(["--net".into(), net.into()]),
                Some(Err(fault)) => faults.push(fault),
                _ => {}
            }
        }
        match skip {
            0 => respelled.push(word.clone()),
            _ => skip -= 1,
        }
    }
    for left in netdevs.into_iter().flatten() {
        let id = left.get("id").unwrap_or("ID");
        let word = left.first;
        faults.push(format!("-netdev {word} is QEMU's: without a card it is nothing; add -device virtio-net-pci,netdev={id}, or say --net {word}"));
    }
    (Cow::Owned(respelled), faults)
}

/// The options with a value, each with its place.
fn options(words: &[OsString]) -> impl Iterator<Item = (usize, Given<'_>)> {
    let before_programs = words.iter().take_while(|word| *word != "--").enumerate().skip(1);
    before_programs.filter_map(|(at, word)| {
        let option = word.to_str()?.strip_prefix("--")?;
        if let Some((name, value)) = option.split_once('=') {
            return Some((at, Given { name, value, words: 1 }));
        }
        let next = words.get(at + 1).filter(|next| !next.as_encoded_bytes().starts_with(b"--"));
        match next {
            // Of nvmm's own options clap says that.
            None => OPTIONS.contains(&option).then_some((at, Given { name: option, value: "", words: 1 })),
            Some(value) => Some((at, Given { name: option, value: value.to_str()?, words: 2 })),
        }
    })
}

impl Given<'_> {
    fn is_card(&self) -> bool {
        self.name == "device" && CARDS.contains(&Value::of(self.value).first)
    }

    /// `-net nic`, which `-net user` and its like need at their side in QEMU.
    fn is_legacy(&self) -> bool {
        self.name == "net" && Value::of(self.value).first == "nic"
    }
}

impl<'a> Value<'a> {
    fn of(value: &'a str) -> Self {
        let mut parts = value.split(',');
        Self { first: parts.next().unwrap_or_default(), keys: parts.collect() }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.keys.iter().find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
    }

    fn remove(&mut self, key: &str) {
        self.keys.retain(|part| part.split('=').next() != Some(key));
    }

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
        for part in &self.keys {
            let (key, value) = part.split_once('=').unwrap_or((part, "on"));
            let is_always = |(name, values): &(&str, &[&str])| {
                *name == key && (values.is_empty() || values.contains(&value))
            };
            match key {
                "netdev" => {}
                "disable-legacy" if matches!(value, "off" | "false") => keys.push("legacy=on"),
                _ if CARD_KEYS.contains(&key) => keys.push(*part),
                _ if ALWAYS.iter().any(is_always) => {}
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
