//! `--serial`.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

use arch::layout::SERIAL_PORTS;
use devices::{
    chars::{Address, ServerOptions},
    printable::ToPrintable,
};

use super::{error::ConfigError, keys::Keys, words};

const OPTION: &str = "--serial";
const PLACES: &str = "give stdio, null, file=PATH, pty, tcp=HOST:PORT or unix=PATH";

/// A serial port's place on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialConfig {
    /// The place.
    pub place: Place,
    /// A file that also gets the guest's output.
    pub log: Option<PathBuf>,
}

/// A serial port's place on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The terminal, or other files that are stdin and stdout.
    Stdio,
    /// Nowhere.
    Null,
    /// A file, which is made or truncated.
    File {
        /// The file.
        path: PathBuf,
        /// Append to the file instead of truncating it.
        append: bool,
    },
    /// A pseudoterminal.
    Pty {
        /// The name of a link to it.
        link: Option<PathBuf>,
    },
    /// A socket that peers connect to.
    Server {
        /// The address.
        address: Address,
        /// The options.
        options: ServerOptions,
    },
    /// A connection to another program's socket.
    Client {
        /// The socket's address.
        address: Address,
        /// The peer speaks telnet.
        telnet: bool,
    },
}

impl SerialConfig {
    /// The place, without a log.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, log: None }
    }

    /// Parses a `--serial`: nvmm's words, or QEMU's.
    ///
    /// # Errors
    ///
    /// The value is invalid.
    fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        let text = words::encode(given);
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or_default();
        let parsed = Keys::of(parts).and_then(|mut keys| {
            let place = Place::parse(place, &mut keys)?;
            let log = keys.value("log", "FILE")?.map(path).transpose()?;
            end(keys, place.keys())?;
            Ok(Self { place, log })
        });
        parsed.map_err(|why| error(given, why))
    }
}

/// Parses each `--serial`: COM1's and those that follow.
///
/// # Errors
///
/// A value is invalid, there are too many ports, two of them are on the terminal, or one is although nvmm runs in the background.
pub(super) fn ports<T: AsRef<OsStr>>(
    given: &[T],
    in_background: bool,
) -> Result<Vec<SerialConfig>, ConfigError> {
    let given = || given.iter().map(AsRef::as_ref);
    if let Some(fifth) = given().nth(SERIAL_PORTS) {
        let why = "that is one too many; a machine has four serial ports, COM1 to COM4";
        return Err(error(fifth, why.to_owned()));
    }
    let ports: Vec<_> = given().map(SerialConfig::parse).collect::<Result<_, _>>()?;
    let mut stdio = given().zip(&ports).filter(|(_, port)| port.place == Place::Stdio);
    if let Some((first, _)) = stdio.clone().next().filter(|_| in_background) {
        let why = "with --daemonize there is no terminal; give null, file=PATH, pty or unix=PATH,server";
        return Err(error(first, why.to_owned()));
    }
    if let Some((second, _)) = stdio.nth(1) {
        let why = "another serial port is there already; give this one null, or a place of its own";
        return Err(error(second, why.to_owned()));
    }
    Ok(ports)
}

impl Place {
    fn parse(text: &str, keys: &mut Keys<'_>) -> Result<Self, String> {
        let at = text.find(['=', ':']).unwrap_or(text.len());
        let (kind, rest) = text.split_at(at);
        let value = rest.get(1..);
        match (kind, value) {
            ("stdio", None) | ("mon", Some("stdio")) => Ok(Self::Stdio),
            ("null" | "none", None) => Ok(Self::Null),
            ("file", Some(name)) => Ok(Self::File { path: path(name)?, append: keys.switch("append")? }),
            ("pty", link) => Ok(Self::Pty { link: link.map(path).transpose()? }),
            ("tcp", Some(address)) => Self::socket(keys, rest, false, |serves| tcp(address, serves)),
            ("telnet", Some(address)) if rest.starts_with(':') => {
                Self::socket(keys, rest, true, |serves| tcp(address, serves))
            }
            ("unix", Some(name)) => Self::socket(keys, rest, false, |_| path(name).map(Address::Unix)),
            ("file" | "unix", _) => Err(format!("give {kind}=PATH")),
            ("tcp", _) => Err("give tcp=HOST:PORT".to_owned()),
            ("telnet", _) => Err("give tcp=HOST:PORT,telnet=on".to_owned()),
            ("chardev", Some(_)) => Err(format!("nvmm has no character devices with ids; {PLACES}")),
            _ if kind.contains('/') => {
                let name = words::decode(text).printable().to_string().replace(',', ",,");
                Err(format!("to write to that file or device, give file={name}"))
            }
            _ => Err(PLACES.to_owned()),
        }
    }

    fn socket(
        keys: &mut Keys<'_>,
        rest: &str,
        telnet: bool,
        address: impl FnOnce(bool) -> Result<Address, String>,
    ) -> Result<Self, String> {
        let serves = keys.switch("server")?;
        let address = address(serves)?;
        let is_tcp = matches!(address, Address::Tcp { .. });
        let telnet = telnet || is_tcp && keys.switch("telnet")?;
        // QEMU's key for what nvmm always does.
        if is_tcp && keys.has("nodelay") && !keys.switch("nodelay")? {
            return Err("nodelay=off can't be had; leave it out".to_owned());
        }
        let mut given = |key| keys.has(key).then(|| keys.switch(key)).transpose();
        let (wait, nowait) = (given("wait")?, given("nowait")?);
        if !serves && (wait.is_some() || nowait.is_some()) {
            return Err("only a server waits for its peer; add server, or leave the word out".to_owned());
        }
        let wait = match (wait, nowait.map(|nowait| !nowait)) {
            (Some(wait), Some(other)) if wait != other => {
                return Err("wait and nowait contradict each other".to_owned());
            }
            // QEMU's servers wait unless there is `wait=off`.
            (wait, other) => wait.or(other).unwrap_or_else(|| rest.starts_with(':')),
        };
        Ok(match serves {
            true => Self::Server { address, options: ServerOptions { wait, telnet } },
            false => Self::Client { address, telnet },
        })
    }

    /// The place's keys, for errors about other keys.
    fn keys(&self) -> &'static str {
        match self {
            Self::Stdio | Self::Null | Self::Pty { .. } => "log=FILE",
            Self::File { .. } => "append=on or log=FILE",
            Self::Server { address: Address::Tcp { .. }, .. }
            | Self::Client { address: Address::Tcp { .. }, .. } => "server, wait, telnet=on or log=FILE",
            Self::Server { .. } | Self::Client { .. } => "server, wait or log=FILE",
        }
    }
}

/// Refuses keys that were not taken out, with advice for QEMU's.
fn end(keys: Keys<'_>, known: &str) -> Result<(), String> {
    match keys.first() {
        Some(key) if key.starts_with("reconnect") => {
            Err(format!("leave '{key}' out; nvmm always connects again"))
        }
        Some("logfile") => Err("'logfile' means nothing here; give log=FILE".to_owned()),
        _ => keys.end(&format!("{known}; a comma in a path is written twice")),
    }
}

pub(super) fn path(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() { Err("the path is missing".to_owned()) } else { Ok(words::decode(name).into()) }
}

/// Parses a TCP address. An empty host means only this host, both for servers and clients.
pub(super) fn tcp(text: &str, serves: bool) -> Result<Address, String> {
    let shape = || "give HOST:PORT, such as 127.0.0.1:4444 or [::1]:4444".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => ipv6,
        None if host.contains(':') => return Err(shape()),
        None => host,
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let host = words::decode(host).into_string().map_err(|_| shape())?;
    let range = || match serves {
        true => "give a port from 1 to 65535, or 0 for one that is free".to_owned(),
        false => "give a port from 1 to 65535".to_owned(),
    };
    let port = port.parse().map_err(|_| range())?;
    if port == 0 && !serves {
        return Err(range());
    }
    Ok(Address::Tcp { host, port })
}

fn error(given: &OsStr, why: String) -> ConfigError {
    ConfigError::Keys { option: OPTION, given: given.printable().to_string(), why }
}

/// Writes nvmm's words for it.
impl fmt::Display for SerialConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Stdio => f.write_str("stdio")?,
            Place::Null => f.write_str("null")?,
            Place::File { path, append } => {
                write!(f, "file={}{}", word(path), if *append { ",append=on" } else { "" })?;
            }
            Place::Pty { link: None } => f.write_str("pty")?,
            Place::Pty { link: Some(link) } => write!(f, "pty={}", word(link))?,
            Place::Server { address, options: ServerOptions { wait, telnet } } => {
                write_address(f, address, *telnet)?;
                f.write_str(if *wait { ",server,wait" } else { ",server" })?;
            }
            Place::Client { address, telnet } => write_address(f, address, *telnet)?,
        }
        self.log.iter().try_for_each(|log| write!(f, ",log={}", word(log)))
    }
}

fn write_address(f: &mut fmt::Formatter<'_>, address: &Address, telnet: bool) -> fmt::Result {
    match address {
        Address::Tcp { .. } => write!(f, "tcp={address}{}", if telnet { ",telnet=on" } else { "" }),
        Address::Unix(path) => write!(f, "unix={}", word(path)),
    }
}

/// A path as part of an option, with commas doubled.
fn word(path: &Path) -> String {
    path.printable().to_string().replace(',', ",,")
}

#[cfg(test)]
#[path = "serial_test.rs"]
mod tests;
