//! `--display vnc=`: the VNC server's address.

use std::{fmt, net::ToSocketAddrs, ops::RangeInclusive, path::PathBuf};

use devices::{chars::Address, printable::ToPrintable};

use super::{keys::Keys, serial::path, words};

/// The TCP port of display 0.
const FIRST_PORT: u16 = 5900;
/// The last display.
const LAST: u16 = u16::MAX - FIRST_PORT;
/// The default host.
const LOOPBACK: &str = "127.0.0.1";
const SHAPE: &str = "give vnc=HOST:N, where N is the port less 5900, such as vnc=127.0.0.1:0 or vnc=[::1]:0, or vnc=unix:PATH";

/// A VNC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VncConfig {
    /// The place.
    pub place: VncPlace,
    /// The file whose first line is the password, if there is one.
    pub password_file: Option<PathBuf>,
}

/// The address of a VNC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VncPlace {
    /// The first free one of these displays.
    Tcp {
        /// A name or an address.
        host: String,
        /// TCP ports, less 5900.
        displays: RangeInclusive<u16>,
    },
    /// A unix socket's path.
    Unix(PathBuf),
}

impl VncConfig {
    /// Parses the text after `vnc=`, and the server's keys after it.
    pub(super) fn parse(place: &str, keys: &mut Keys<'_>) -> Result<Self, String> {
        let last = keys.value("to", "N")?;
        let place = match place.split_once(':') {
            Some(("unix", _)) if last.is_some() => Err("to=N is for displays".to_owned()),
            Some(("unix", name)) => path(name).map(VncPlace::Unix),
            _ => display(place, last),
        }?;
        let file = keys.value("password-file", "PATH")?.map(path).transpose()?;
        Ok(Self { place, password_file: file })
    }
}

fn display(place: &str, last: Option<&str>) -> Result<VncPlace, String> {
    let (host, first) = place.rsplit_once(':').ok_or(SHAPE)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => ipv6,
        None if host.contains(':') => return Err(SHAPE.to_owned()),
        None => host,
    };
    let host = words::decode(if host.is_empty() { LOOPBACK } else { host });
    let host = host.into_string().map_err(|_| SHAPE)?;
    let number = |text: &str| {
        let number = words::number::<u16>(text).filter(|number| *number <= LAST);
        let shown = words::decode(text);
        number.ok_or_else(|| format!("'{}' is no display: give a number from 0 to {LAST}", shown.printable()))
    };
    let first = number(first)?;
    let last = last.map_or(Ok(first), number)?;
    if last < first {
        return Err(format!("to={last} is before the display {first}"));
    }
    Ok(VncPlace::Tcp { host, displays: first..=last })
}

impl VncPlace {
    /// The address of a display on this host.
    #[must_use]
    pub fn address(host: &str, display: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port: FIRST_PORT.saturating_add(display) }
    }

    /// The addresses, in the order in which to try them.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        let (displays, path) = match self {
            Self::Tcp { host, displays } => {
                (Some(displays.clone().map(move |display| Self::address(host, display))), None)
            }
            Self::Unix(path) => (None, Some(Address::Unix(path.clone()))),
        };
        displays.into_iter().flatten().chain(path)
    }

    /// Returns true if only users of this host can connect. A host's name that has no address counts as local: it is refused later.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => (host.as_str(), FIRST_PORT)
                .to_socket_addrs()
                .is_ok_and(|mut addresses| addresses.all(|address| address.ip().is_loopback())),
            Self::Unix(_) => true,
        }
    }

    /// The displays after the last one, to suggest if it is in use.
    pub fn next(&self) -> impl Iterator<Item = (Self, Address)> {
        let (host, last) = match self {
            Self::Tcp { host, displays } => (host.as_str(), *displays.end()),
            Self::Unix(_) => ("", LAST),
        };
        (last.saturating_add(1)..=LAST).map(move |display| {
            let place = Self::Tcp { host: host.to_owned(), displays: display..=display };
            (place, Self::address(host, display))
        })
    }
}

/// Writes nvmm's words for it.
impl fmt::Display for VncPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, displays } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                write!(f, "vnc={host}:{}", displays.start())?;
                if displays.start() == displays.end() { Ok(()) } else { write!(f, ",to={}", displays.end()) }
            }
            Self::Unix(path) => {
                write!(f, "vnc=unix:{}", words::escaped(&words::whole(path.as_os_str())).printable())
            }
        }
    }
}

#[cfg(test)]
#[path = "vnc_test.rs"]
mod tests;
