//! `--boot`: the devices from which firmware starts.

use std::ffi::OsStr;

use devices::printable::ToPrintable;

use super::{error::ConfigError, words};

const OPTION: &str = "--boot";
const WORDS: &str = "give order=DEVICE,DEVICE,... and menu=on, or QEMU's letters: c for disks, d for CD-ROMs, n for network devices";

/// The order of devices to start from, and the menu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootConfig {
    /// The first devices to try, in order, as given; the firmware chooses the order of the others.
    pub order: Vec<String>,
    /// The firmware offers a menu, and waits for a key.
    pub menu: bool,
}

/// A kind of device from which firmware can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootKind {
    /// A disk.
    Disk,
    /// A CD-ROM.
    Cdrom,
    /// A network device.
    Net,
}

/// A device from which firmware can start, as `--boot` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootDevice {
    /// The kind.
    pub kind: BootKind,
    /// The `id=`, if it has one.
    pub id: Option<String>,
}

impl BootKind {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Cdrom => "cdrom",
            Self::Net => "net",
        }
    }
}

impl BootConfig {
    /// Parses `--boot`.
    ///
    /// # Errors
    ///
    /// The value is invalid.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        let text = words::encode(given);
        parse(&text).map_err(|why| error(&given.printable().to_string(), why))
    }

    /// Finds the devices of the order among all devices, and returns their indices in `devices`, each once.
    ///
    /// # Errors
    ///
    /// A device doesn't exist.
    pub fn find(&self, devices: &[BootDevice]) -> Result<Vec<usize>, ConfigError> {
        let mut found = Vec::new();
        for word in &self.order {
            for place in places(word, devices).map_err(|why| self.error(why))? {
                if !found.contains(&place) {
                    found.push(place);
                }
            }
        }
        Ok(found)
    }

    fn error(&self, why: String) -> ConfigError {
        error(&format!("order={}", self.order.join(",")).printable().to_string(), why)
    }
}

/// The name of a device in messages: its id, or its kind and number.
#[must_use]
pub fn name(at: usize, devices: &[BootDevice]) -> String {
    let device = &devices[at];
    let number = devices[..=at].iter().filter(|other| other.kind == device.kind).count();
    device.id.clone().unwrap_or_else(|| format!("{}{number}", device.kind.name()))
}

/// The indices of the devices that `word` names: the device with this id, all of a kind, one by its kind and number, or those of QEMU's
/// letters. An id comes first, and may not look like another device's number. Network devices always have an id.
fn places(word: &str, devices: &[BootDevice]) -> Result<Vec<usize>, String> {
    let of_kind = |kind| (0..devices.len()).filter(move |&at| devices[at].kind == kind);
    let numbered = |kind: BootKind| {
        let number: usize = word.strip_prefix(kind.name())?.parse().ok()?;
        of_kind(kind).nth(number.checked_sub(1)?)
    };
    if let Some(place) = devices.iter().position(|device| device.id.as_deref() == Some(word)) {
        let other = numbered(BootKind::Disk).or_else(|| numbered(BootKind::Cdrom));
        return match other.filter(|other| *other != place) {
            Some(_) => Err(format!(
                "{} is the id of one device, and also means another by its place; give the first another id",
                word.printable()
            )),
            None => Ok(vec![place]),
        };
    }
    let kinds = [BootKind::Disk, BootKind::Cdrom, BootKind::Net];
    let places = if let Some(kind) = kinds.into_iter().find(|kind| kind.name() == word) {
        of_kind(kind).collect()
    } else if let Some(place) = numbered(BootKind::Disk).or_else(|| numbered(BootKind::Cdrom)) {
        vec![place]
    } else {
        let letters: Option<Vec<_>> = word.chars().map(letter).collect();
        let kinds: Vec<_> = letters.unwrap_or_default().into_iter().collect::<Result<_, _>>()?;
        kinds.into_iter().flat_map(of_kind).collect::<Vec<_>>()
    };
    if places.is_empty() {
        let there: Vec<_> = (0..devices.len()).map(|at| name(at, devices)).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        return Err(format!("there is no {}; the devices to start from are: {there}", word.printable()));
    }
    Ok(places)
}

fn parse(text: &str) -> Result<BootConfig, String> {
    let mut config = BootConfig::default();
    let mut seen: Vec<&str> = Vec::new();
    // Words in the order may have commas between them, like the keys.
    let mut in_order = true;
    for part in text.split(',') {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => {
                if seen.contains(&key) {
                    return Err(format!("'{}' is there twice", words::decode(key).printable()));
                }
                seen.push(key);
                (key, value)
            }
            None if in_order => ("order", part),
            None => return Err(format!("'{}' means nothing here; {WORDS}", words::decode(part).printable())),
        };
        in_order = key == "order";
        match (key, value) {
            ("order", "") => return Err(format!("a device is missing; {WORDS}")),
            ("order", value) => {
                let name = words::decode(value).into_string();
                config.order.push(name.map_err(|name| format!("{} is not UTF-8", name.printable()))?);
            }
            ("menu", "on") => config.menu = true,
            ("menu", "off") => config.menu = false,
            ("menu", other) => {
                return Err(format!("'menu={}': give menu=on or menu=off", words::decode(other).printable()));
            }
            ("once", _) => return Err("nvmm has one order for all starts; give order=".to_owned()),
            _ => return Err(format!("'{}' means nothing here; {WORDS}", words::decode(key).printable())),
        }
    }
    Ok(config)
}

/// The kind of devices that one of QEMU's letters stands for.
fn letter(letter: char) -> Option<Result<BootKind, String>> {
    match letter {
        'c' => Some(Ok(BootKind::Disk)),
        'd' => Some(Ok(BootKind::Cdrom)),
        'n' => Some(Ok(BootKind::Net)),
        'a' | 'b' => Some(Err(format!("'{letter}' is a floppy drive, and nvmm has none"))),
        _ => None,
    }
}

fn error(given: &str, why: String) -> ConfigError {
    ConfigError::Keys { option: OPTION, given: given.to_owned(), why }
}

#[cfg(test)]
#[path = "boot_test.rs"]
mod tests;
