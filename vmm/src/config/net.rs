//! `--net`.

mod device;
mod several;

use std::{
    ffi::{OsStr, OsString},
    net::Ipv4Addr,
    os::fd::RawFd,
};

use devices::{
    net::{Forward, ForwardError, InterfaceName, InterfaceNameError, MacAddress, MacAddressError, Passt},
    printable::ToPrintable,
    virtio::net::NetOptions,
};
use uuid::Uuid;

pub use self::device::{NetConfig, NetHost, NetMac, Vhost};
use super::{error::ConfigError, keys::Keys, words};

const OPTION: &str = "--net";
const PLACES: &str = "give user, bridge=BRIDGE, tap=INTERFACE, tap or none";
/// QEMU's default for `bridge`.
const BRIDGE: &str = "br0";
const MAX_QUEUES: u16 = NetOptions::MAX_PAIRS;
const MIN_MTU: u16 = NetOptions::MIN_MTU;

/// A `--net` by itself, before the devices get their numbers.
#[derive(Debug)]
struct Words {
    host: NetHost,
    mac: Option<MacAddress>,
    mtu: Option<u16>,
    queues: u16,
    vhost: Vhost,
    offload: bool,
    legacy: bool,
    id: Option<String>,
}

/// Parses each `--net` of a machine with this UUID.
///
/// # Errors
///
/// A value is invalid, or two devices have the same name, address or host's side.
pub(super) fn devices(given: &[OsString], uuid: Option<Uuid>) -> Result<Vec<NetConfig>, ConfigError> {
    let parsed: Vec<_> = given.iter().map(|given| Words::parse(given)).collect::<Result<_, _>>()?;
    if let Some(none) = parsed.iter().position(Option::is_none)
        && parsed.len() > 1
    {
        return Err(error(&given[none], "there is another --net; leave one of them out"));
    }
    let words: Vec<_> = parsed.into_iter().flatten().collect();
    let mut names: Vec<_> = words.iter().filter_map(|words| words.id.clone()).collect();
    let devices = words.into_iter().enumerate();
    let devices: Vec<_> =
        devices.map(|(number, words)| words.into_config(number, uuid, &mut names)).collect();
    several::check(&devices).map_err(|(at, why)| error(&given[at], why))?;
    Ok(devices)
}

/// Returns whether a `--net` uses passt.
pub(super) fn has_passt(given: &[OsString]) -> bool {
    given.iter().any(|given| {
        let words = Words::parse(given).ok().flatten();
        words.is_some_and(|words| matches!(words.host, NetHost::User(_)))
    })
}

impl Words {
    /// Parses a `--net`. `none` means no device.
    fn parse(given: &OsStr) -> Result<Option<Self>, ConfigError> {
        let text = words::encode(given);
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or_default();
        let (kind, value) = match place.split_once('=') {
            Some((kind, value)) => (kind, Some(value)),
            None => (place, None),
        };
        let parsed = Keys::with_list(parts, "hostfwd").and_then(|keys| match (kind, value) {
            ("none", None) => keys.end("nothing with none").map(|()| None),
            _ => Self::of(kind, value, keys).map(Some),
        });
        parsed.map_err(|why| error(given, why))
    }

    fn of(kind: &str, value: Option<&str>, mut keys: Keys<'_>) -> Result<Self, String> {
        let (host, own) = NetHost::parse(kind, value, &mut keys)?;
        let mac = one_of(&mut keys, ["mac", "macaddr"], "52:54:00:12:34:56")?.map(mac).transpose()?;
        let mtu = one_of(&mut keys, ["mtu", "host_mtu"], "1500")?.map(mtu).transpose()?;
        let queues = keys.value("queues", "N")?.map(queues).transpose()?;
        let vhost = keys.value("vhost", "on")?.map(vhost).transpose()?.unwrap_or_default();
        let id = keys.value("id", "NAME")?.map(id).transpose()?;
        let offload = !keys.has("offload") || keys.switch("offload")?;
        let legacy = legacy(&mut keys)?;
        keys.end(&format!("{own}mac=, mtu=, queues=, vhost=, id=, offload=off or legacy=on"))?;
        let queues = host.queues(queues)?;
        if let (NetHost::User(_), Vhost::On) = (&host, vhost) {
            return Err("vhost=on: the kernel can't move frames to passt; leave it out".to_owned());
        }
        if let (NetHost::User(_), Some(mtu)) = (&host, mtu)
            && mtu > Passt::MOST_MTU
        {
            return Err(format!("mtu={mtu}: passt takes one from {MIN_MTU} to {}", Passt::MOST_MTU));
        }
        Ok(Self { host, mac, mtu, queues, vhost, offload, legacy, id })
    }

    /// Makes the device with this number. Without an id, its name is `net` and the number, or the next number whose name is not in `names`.
    fn into_config(self, number: usize, uuid: Option<Uuid>, names: &mut Vec<String>) -> NetConfig {
        let Self { host, mac, mtu, queues, vhost, offload, legacy, id } = self;
        let name = id.unwrap_or_else(|| {
            let free = (number..).map(|number| format!("net{number}")).find(|name| !names.contains(name));
            let name = free.unwrap_or_default();
            names.push(name.clone());
            name
        });
        let mac = match (mac, uuid) {
            (Some(mac), _) => NetMac::Given(mac),
            (None, Some(uuid)) => NetMac::Uuid(NetMac::in_machine(&uuid, number)),
            (None, None) => NetMac::Disk,
        };
        NetConfig { number, name, host, mac, mtu, queues, vhost, offload, legacy }
    }
}

impl NetHost {
    /// Parses the first word and the keys for it. Also returns the names of these keys, for errors about other keys.
    fn parse(kind: &str, value: Option<&str>, keys: &mut Keys<'_>) -> Result<(Self, &'static str), String> {
        match (kind, value) {
            ("tap", name) => {
                no_scripts(keys)?;
                let name = name.map(interface).transpose()?;
                let qemus = keys.value("ifname", "INTERFACE")?.map(interface).transpose()?;
                if let (Some(name), Some(qemus)) = (&name, &qemus) {
                    return Err(format!(
                        "'tap={name}' and 'ifname={qemus}' are both a name; leave one of them out"
                    ));
                }
                let fds = one_of(keys, ["fd", "fds"], "N")?.map(descriptors).transpose()?;
                match (name.or(qemus), fds) {
                    (Some(name), Some(_)) => {
                        Err(format!("an open tap has its name already; leave '{name}' or the descriptor out"))
                    }
                    (None, Some(fds)) => Ok((Self::Descriptors(fds), "fd=, ")),
                    (name, None) => Ok((Self::Tap(name), "fd=, ")),
                }
            }
            ("bridge", name) => {
                let qemus = keys.value("br", "BRIDGE")?;
                if let (Some(name), Some(qemus)) = (name, qemus) {
                    return Err(format!(
                        "'bridge={name}' and 'br={qemus}' are both a name; leave one of them out"
                    ));
                }
                let name = interface(name.or(qemus).unwrap_or(BRIDGE))?;
                match name.as_str().contains('%') {
                    true => Err(format!("'{name}' is no bridge; give the name of one that is there")),
                    false => {
                        let helper = match keys.value("helper", "PATH")? {
                            Some("") => {
                                return Err(
                                    "helper= needs a path; leave it out, and the one that is installed is used".to_owned(),
                                );
                            }
                            helper => helper.map(|path| words::decode(path).into()),
                        };
                        Ok((Self::Bridge { name, helper }, "helper=, "))
                    }
                }
            }
            ("user", None) => {
                let forwards = keys.list("hostfwd", "tcp::PORT-:PORT")?.into_iter().map(forward);
                Ok((Self::User(forwards.collect::<Result<_, _>>()?), "hostfwd=, "))
            }
            ("user", Some(_)) => Err("give user alone, and ports with hostfwd=tcp::PORT-:PORT".to_owned()),
            ("nic", _) => Err(format!("nvmm's device and its place on the host are one option; {PLACES}")),
            _ => Err(instead(kind).unwrap_or(PLACES).to_owned()),
        }
    }

    /// The number of queue pairs; `given` were asked for.
    fn queues(&self, given: Option<u16>) -> Result<u16, String> {
        let (own, why) = match self {
            Self::Tap(_) | Self::Bridge { .. } => return Ok(given.unwrap_or(1)),
            Self::Descriptors(fds) => (fds.len(), "there is one for each descriptor"),
            Self::User(_) => (1, "passt has one"),
        };
        let own = u16::try_from(own).unwrap_or(u16::MAX);
        match given.filter(|given| *given != own) {
            None => Ok(own),
            Some(given) => Err(format!("queues={given}: {why}; leave it out")),
        }
    }
}

/// Advice for kinds of networks that QEMU has and nvmm lacks.
fn instead(qemus: &str) -> Option<&'static str> {
    match qemus {
        "socket" | "stream" | "dgram" | "hubport" | "vde" => Some(
            "nvmm connects machines by a bridge of the host; give bridge=BRIDGE to each of them, or tap=INTERFACE for a \
             network of another program",
        ),
        "l2tpv3" => Some(
            "the host makes the tunnel for nvmm (`ip l2tp add tunnel`, `ip l2tp add session`); join its interface to a \
             bridge and give bridge=BRIDGE",
        ),
        "vhost-user" => Some(
            "nvmm has no vhost-user; give tap=INTERFACE or bridge=BRIDGE, with the kernel's vhost-net by vhost=on",
        ),
        "vhost-vdpa" | "af-xdp" | "netmap" => Some(
            "nvmm does not drive the host's network card; give tap=MACVTAP, a macvtap on it, or bridge=BRIDGE",
        ),
        "passt" => Some("say user, which is passt"),
        _ => None,
    }
}

/// Takes out the value of a key for which QEMU has another name.
fn one_of<'a>(keys: &mut Keys<'a>, [key, other]: [&str; 2], what: &str) -> Result<Option<&'a str>, String> {
    if keys.has(key) && keys.has(other) {
        return Err(format!("'{key}' and '{other}' are the same; leave one of them out"));
    }
    Ok(keys.value(key, what)?.or(keys.value(other, what)?))
}

/// Takes out `legacy`, or QEMU's key for the opposite.
fn legacy(keys: &mut Keys<'_>) -> Result<bool, String> {
    match (keys.has("legacy"), keys.has("disable-legacy")) {
        (true, true) => {
            Err("'legacy' and 'disable-legacy' are about the same; leave one of them out".to_owned())
        }
        (false, true) => keys.switch("disable-legacy").map(|disabled| !disabled),
        (_, false) => keys.switch("legacy"),
    }
}

/// Takes out QEMU's keys for what nvmm always does.
fn no_scripts(keys: &mut Keys<'_>) -> Result<(), String> {
    for key in ["script", "downscript"] {
        if !matches!(keys.value(key, "no")?, None | Some("no" | "")) {
            return Err(format!("nvmm runs no {key}; leave it out, and give bridge=BRIDGE to join a bridge"));
        }
    }
    Ok(())
}

fn interface(given: &str) -> Result<InterfaceName, String> {
    let name = words::decode(given);
    let parsed = name.to_str().ok_or(InterfaceNameError).and_then(str::parse);
    parsed.map_err(|error| format!("'{}': {error}", name.printable()))
}

/// Parses `fd=3`, or `fds=3:4`. Lower numbers are stdin, stdout and stderr.
fn descriptors(given: &str) -> Result<Vec<RawFd>, String> {
    let descriptor = |given: &str| match words::number(given) {
        Some(fd @ 3..) => Ok(fd),
        _ => Err(format!("'{given}' is no descriptor of a tap; give its number, from 3 on")),
    };
    let fds: Vec<_> = given.split(':').map(descriptor).collect::<Result<_, _>>()?;
    if fds.len() > usize::from(MAX_QUEUES) {
        return Err(format!("these are {} descriptors; give at most {MAX_QUEUES}", fds.len()));
    }
    Ok(fds)
}

/// Parses a forwarded port. An empty host means only this host, as elsewhere in nvmm.
fn forward(given: &str) -> Result<Forward, String> {
    let parsed: Result<Forward, _> = given.parse();
    let mut forward = parsed.map_err(|error: ForwardError| format!("hostfwd={given}: {error}"))?;
    forward.address.get_or_insert(Ipv4Addr::LOCALHOST.into());
    Ok(forward)
}

fn mac(given: &str) -> Result<MacAddress, String> {
    given.parse().map_err(|error: MacAddressError| format!("mac={given}: {error}"))
}

fn mtu(given: &str) -> Result<u16, String> {
    let mtu = words::number(given).filter(|mtu| *mtu >= MIN_MTU);
    mtu.ok_or_else(|| format!("mtu={given}: give a number from {MIN_MTU} to {}", u16::MAX))
}

fn queues(given: &str) -> Result<u16, String> {
    let queues = words::number(given).filter(|queues| (1..=MAX_QUEUES).contains(queues));
    queues.ok_or_else(|| format!("queues={given}: give a number from 1 to {MAX_QUEUES}"))
}

fn vhost(given: &str) -> Result<Vhost, String> {
    match given {
        "auto" => Ok(Vhost::Auto),
        "on" => Ok(Vhost::On),
        "off" => Ok(Vhost::Off),
        _ => Err(format!("vhost={given}: give auto, on or off")),
    }
}

fn id(given: &str) -> Result<String, String> {
    match words::decode(given).into_string() {
        Ok(id) if !id.is_empty() => Ok(id),
        Ok(_) => Err("id= needs a name; leave it out, and the first is called net0".to_owned()),
        Err(id) => Err(format!("{} is not UTF-8", id.printable())),
    }
}

fn error(given: &OsStr, why: impl AsRef<str>) -> ConfigError {
    let why = words::decode(why.as_ref()).printable().to_string();
    ConfigError::Keys { option: OPTION, given: given.printable().to_string(), why }
}

#[cfg(test)]
#[path = "net_test.rs"]
mod tests;
