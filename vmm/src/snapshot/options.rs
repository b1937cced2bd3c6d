//! The options of a machine in its snapshot, and the options of `nvmm --restore` that override them.
//!
//! There are three kinds of options. Some are about one run of nvmm, such as `--qmp`: they are not in a snapshot, and each `--restore`
//! gives its own. Some locate things on the host, such as the path of a disk: `--restore` may change them. All others belong to the machine
//! that the guest sees, and can't be changed.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt,
};

use clap::{CommandFactory, parser::ValueSource};
use devices::printable::ToPrintable;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{args::MachineArgs, config::words, identity::new_uuid};

/// Options about one run of nvmm.
const RUN: [&str; 27] = [
    "qmp",
    "gdb",
    "paused",
    "daemonize",
    "pidfile",
    "stats",
    "log-file",
    "user",
    "chroot",
    "netns",
    "cgroup",
    "sandbox",
    "allow-path",
    "dry-run",
    "json",
    "domain",
    "from-qemu",
    "kvm",
    "verbose",
    "expect",
    "send",
    "expect-timeout",
    "snapshot-on-exit",
    "restore",
    "incoming",
    "restore-memory",
    "fresh-identity",
];
/// Options whose only value is a place on the host.
const PLACES: [&str; 9] =
    ["kernel", "initramfs", "firmware", "cdrom", "rng", "display", "name", "grace", "on-reboot"];
/// Keys of `--disk` about the host. If the path changes, the old values of the others are dropped.
const DISK_PLACE: [&str; 5] = ["path", "file", "format", "overlay", "backing-root"];
const DISK_HOW: [&str; 5] = ["direct", "cache", "aio", "iops", "bw"];
/// Keys of `--net` about the device, whose values are kept; all others are about the host.
const NET_DEVICE: [&str; 9] =
    ["mac", "macaddr", "mtu", "host_mtu", "queues", "id", "offload", "legacy", "disable-legacy"];

/// Options with their values, in the order of `--help`; those of one name in the order of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Options(Vec<(String, Option<Text>)>);

/// A value: text, or bytes that are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl From<OsString> for Text {
    fn from(value: OsString) -> Self {
        value.into_string().map_or_else(|value| Self::Bytes(value.into_vec()), Self::Utf8)
    }
}

impl From<&Text> for OsString {
    fn from(text: &Text) -> Self {
        match text {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => OsString::from_vec(bytes.clone()),
        }
    }
}

impl Options {
    /// Reads the options of a command line that was parsed successfully before.
    ///
    /// # Errors
    ///
    /// An error of clap, if the line is invalid.
    pub(crate) fn of_line(words: &[OsString]) -> Result<Self, clap::Error> {
        let command = MachineArgs::command();
        let matches = command.clone().try_get_matches_from(words)?;
        let mut options = Vec::new();
        for argument in command.get_arguments() {
            let (id, Some(name)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            if !argument.get_action().takes_values() {
                options.push((name.to_owned(), None));
                continue;
            }
            let values = matches.get_raw(id).into_iter().flatten();
            options.extend(values.map(|value| (name.to_owned(), Some(value.to_owned().into()))));
        }
        Ok(Self(options))
    }

    /// The options that are kept in a snapshot.
    pub(crate) fn without_run(mut self) -> Self {
        self.0.retain(|(name, _)| !RUN.contains(&name.as_str()));
        self
    }

    /// Adds `,mac=MAC` to a `--net` without an address, as the guest now uses the generated one.
    pub(crate) fn keep_mac(&mut self, number: usize, mac: &str) {
        if let Some(value) = self.values_mut("net").nth(number) {
            let text = words::encode(&OsString::from(&*value));
            if !text.split(',').any(|part| ["mac", "macaddr"].contains(&key(part))) {
                *value = words::escaped(&format!("{text},mac={mac}")).into();
            }
        }
    }

    /// Gives the machine a new UUID, from which its MAC addresses are derived.
    fn renew(&mut self, uuid: &Uuid) {
        for value in self.values_mut("net") {
            *value = without(value, |key, _| ["mac", "macaddr"].contains(&key));
        }
        for value in self.values_mut("smbios") {
            *value =
                without(value, |key, whole| key == "uuid" && whole.split(',').any(|part| part == "type=1"));
        }
        let is_old = |(name, value): &(String, Option<Text>)| match (name.as_str(), value) {
            ("uuid", _) => true,
            // It contained only the UUID.
            ("smbios", Some(Text::Utf8(text))) => text == "type=1",
            _ => false,
        };
        self.0.retain(|option| !is_old(option));
        self.0.push(("uuid".to_owned(), Some(Text::Utf8(uuid.hyphenated().to_string()))));
    }

    /// Replaces the CD-ROM drive's first medium by the one that is in it now.
    pub(crate) fn keep_medium(&mut self, medium: OsString) {
        if let Some(value) = self.values_mut("cdrom").next() {
            *value = medium.into();
        }
    }

    /// The snapshot's options combined with those `given` to `--restore`, as a command line.
    ///
    /// # Errors
    ///
    /// An option is given that is neither about a run nor about a place on the host; the error lists all of them.
    pub(crate) fn restored_by(&self, given: &Self) -> Result<Vec<OsString>, Vec<String>> {
        let mut whole = self.clone().without_run();
        let mut wrong = Vec::new();
        let serials = given.0.iter().filter(|(name, _)| name == "serial").count();
        if serials > 0 {
            let had = whole.values_mut("serial").count().max(1);
            if serials != had {
                wrong.push(format!("--serial: the guest has {had} serial ports; give as many, or none"));
            }
            whole.0.retain(|(name, _)| name != "serial");
        }
        let mut named = BTreeSet::new();
        for (name, value) in &given.0 {
            let text = value.as_ref().filter(|_| ["disk", "net"].contains(&name.as_str()));
            let id = text.and_then(|text| id(&words::encode(&OsString::from(text))).map(str::to_owned));
            let replaced = match (name.as_str(), value) {
                _ if id.is_some_and(|id| !named.insert((name, id))) => {
                    Err("another one has this id; give each id once".to_owned())
                }
                ("disk", Some(value)) => whole.merge_disk(&OsString::from(value)),
                ("net", Some(value)) => whole.merge_net(&OsString::from(value)),
                ("vsock", Some(value)) => whole.merge_vsock(&OsString::from(value)),
                (name, _) if name == "serial" || RUN.contains(&name) => {
                    whole.0.push((name.to_owned(), value.clone()));
                    Ok(())
                }
                (name, Some(_)) if PLACES.contains(&name) => {
                    whole.0.retain(|(other, _)| other != name);
                    whole.0.push((name.to_owned(), value.clone()));
                    Ok(())
                }
                _ => Err("that is as it was when the machine was saved; leave it out".to_owned()),
            };
            if let Err(why) = replaced {
                let value =
                    value.as_ref().map(|value| format!(" {}", OsString::from(value).as_os_str().printable()));
                wrong.push(format!("--{name}{}: {why}", value.unwrap_or_default()));
            }
        }
        if given.0.iter().any(|(name, _)| name == "fresh-identity") {
            whole.renew(&new_uuid());
        }
        if wrong.is_empty() { Ok(whole.words()) } else { Err(wrong) }
    }

    /// A command line, without the program's name.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let word = |(name, value): &(String, Option<Text>)| {
            let mut word = OsString::from(format!("--{name}"));
            if let Some(value) = value {
                word.push("=");
                word.push(OsString::from(value));
            }
            word
        };
        self.0.iter().map(word).collect()
    }

    fn values_mut<'a>(&'a mut self, name: &'a str) -> impl Iterator<Item = &'a mut Text> {
        self.0.iter_mut().filter(move |(other, _)| other == name).filter_map(|(_, value)| value.as_mut())
    }

    /// Changes a disk's place.
    fn merge_disk(&mut self, given: &OsStr) -> Result<(), String> {
        let given = words::encode(given);
        let parts: Vec<_> = given.split(',').collect();
        let id = id(&given)
            .ok_or("give id=NAME too, the id= that the disk was given, or disk1 for the first, disk2 ...")?;
        let known = |part: &&&str| {
            let key = key(part);
            key == "id" || DISK_PLACE.contains(&key) || DISK_HOW.contains(&key)
        };
        if let Some(part) = parts.iter().find(|part| !known(part)) {
            let key = words::decode(key(part));
            return Err(format!("'{}' is not about the host; leave it out", key.as_os_str().printable()));
        }
        let place = self.find("disk", id, "disk", 1)?;
        let old = words::encode(&OsString::from(&*place));
        let old =
            if old.split(',').next().unwrap_or_default().contains('=') { old } else { format!("path={old}") };
        let moves = parts.iter().any(|part| ["path", "file"].contains(&key(part)));
        let kept = old.split(',').filter(|part| {
            let key = key(part);
            key != "id"
                && !(moves && DISK_PLACE.contains(&key))
                && !parts.iter().any(|part| self::key(part) == key)
        });
        let merged: Vec<_> = kept.chain(parts.iter().copied()).collect();
        *place = words::escaped(&merged.join(",")).into();
        Ok(())
    }

    /// Changes a network device's place.
    fn merge_net(&mut self, given: &OsStr) -> Result<(), String> {
        let given = words::encode(given);
        let parts: Vec<_> = given.split(',').collect();
        let id = id(&given)
            .ok_or("give id=NAME too, the id= that the device was given, or net0 for the first, net1 ...")?;
        let device = |part: &&&str| NET_DEVICE.contains(&key(part));
        if let Some(part) = parts.iter().filter(|part| key(part) != "id").find(device) {
            return Err(format!("'{}' is not about the host; leave it out", key(part)));
        }
        let place = self.find("net", id, "net", 0)?;
        let old = words::encode(&OsString::from(&*place));
        // The first part is the place, whatever its key is.
        let kept = old.split(',').skip(1).filter(|part| device(&part) && key(part) != "id");
        let (named, first): (Vec<&str>, Vec<&str>) = parts.iter().partition(|part| key(part) == "id");
        let merged: Vec<_> = first.into_iter().chain(named).chain(kept).collect();
        *place = words::escaped(&merged.join(",")).into();
        Ok(())
    }

    /// Changes the place of the sockets and the guest's CID, which the guest then reads again.
    fn merge_vsock(&mut self, given: &OsStr) -> Result<(), String> {
        let place = self.values_mut("vsock").next().ok_or("the guest has no vsock device")?;
        let (old, given) = (words::encode(&OsString::from(&*place)), words::encode(given));
        let kept = old.split(',').filter(|part| !given.split(',').any(|other| key(other) == key(part)));
        let merged: Vec<_> = kept.chain(given.split(',')).collect();
        *place = words::escaped(&merged.join(",")).into();
        Ok(())
    }

    /// The value of the option `name` with this `id`, or else the unnamed one of this number, counted from `first`.
    fn find<'a>(
        &'a mut self,
        name: &'a str,
        id: &str,
        unnamed: &str,
        first: usize,
    ) -> Result<&'a mut Text, String> {
        let numbered = |number: usize| format!("{unnamed}{}", first + number);
        let values: Vec<_> = self.values_mut(name).enumerate().collect();
        let names: Vec<_> = values
            .iter()
            .map(|(number, value)| {
                let text = words::encode(&OsString::from(&**value));
                self::id(&text).map_or_else(|| numbered(*number), str::to_owned)
            })
            .collect();
        let found = values.into_iter().zip(&names).find(|(_, name)| *name == id);
        found.map(|((_, value), _)| value).ok_or_else(|| {
            let shown = words::decode(id);
            let all = if names.is_empty() { format!("no --{name} at all") } else { names.join(", ") };
            format!("the guest has no '{}'; it has {all}", shown.as_os_str().printable())
        })
    }
}

/// An option's value without the parts for which `is_gone` is true. It gets a part's key and the whole part.
fn without(value: &Text, is_gone: impl Fn(&str, &str) -> bool) -> Text {
    let text = words::encode(&OsString::from(value));
    let kept: Vec<_> = text.split(',').filter(|part| !is_gone(key(part), &text)).collect();
    words::escaped(&kept.join(",")).into()
}

/// The name that an encoded value gives to a disk or network device.
fn id(text: &str) -> Option<&str> {
    text.split(',').find_map(|part| part.strip_prefix("id="))
}

fn key(part: &str) -> &str {
    part.split_once('=').map_or(part, |(key, _)| key)
}

#[cfg(test)]
#[path = "options_test.rs"]
mod tests;
