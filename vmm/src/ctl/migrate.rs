//! `nvmm ctl SOCKET migrate DEST`: this process connects to the destination and passes the connection to the machine, which never connects
//! to anything itself.

use std::{
    ffi::OsStr,
    io,
    net::TcpStream,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use anyhow::{Context, Result, bail};
use devices::chars::{Address, prepare};
use serde_json::{Map, Value, json};

use super::{connection::Connection, error::UsageError};
use crate::config;

/// The connection's name on the control socket.
const NAME: &str = "nvmm-ctl-migrate";

/// The words after the command.
#[derive(Debug)]
pub(super) struct Order {
    place: String,
    address: Address,
    arguments: Map<String, Value>,
}

impl Order {
    /// Parses the words.
    ///
    /// # Errors
    ///
    /// A word is wrong.
    pub(super) fn of(words: &[String]) -> Result<Self> {
        const USAGE: &str = "migrate: give tcp:HOST:PORT or unix:PATH, where an nvmm with --incoming waits";
        let Some((place, words)) = words.split_first() else { bail!(UsageError(USAGE.to_owned())) };
        let address = config::destination("migrate", OsStr::new(place))?;
        let mut arguments = Map::from_iter([("uri".to_owned(), Value::from(format!("fd:{NAME}")))]);
        for word in words {
            let wrong = |why: &str| UsageError(format!("migrate: {word}: {why}"));
            let (key, value) = match word.split_once('=') {
                Some(("downtime-limit", text)) => {
                    let limit = text.parse::<u64>();
                    ("downtime-limit", limit.map_err(|_| wrong("give a number of milliseconds"))?.into())
                }
                Some(("verify", "on" | "true")) => ("nvmm-verify", true.into()),
                Some(("verify", "off" | "false")) => ("nvmm-verify", false.into()),
                Some(("verify", _)) => bail!(wrong("give on or off")),
                _ => bail!(UsageError(format!(
                    "migrate: '{word}' means nothing; give downtime-limit=MILLISECONDS or verify=on, or leave it out"
                ))),
            };
            arguments.insert(key.to_owned(), value);
        }
        Ok(Self { place: place.clone(), address, arguments })
    }
}

/// Moves the machine, and waits until it is done.
///
/// # Errors
///
/// The destination can't be reached, or the machine was not moved.
pub(super) fn migrate(connection: &mut Connection, order: Order) -> Result<()> {
    let Order { place, address, arguments } = order;
    let socket = connect(&address).with_context(|| format!("{place}: nobody waits for a machine there"))?;
    connection.pass(NAME, socket.as_fd())?;
    drop(socket);
    connection.call("migrate", arguments)?;
    loop {
        let Some(event) = connection.event(io::stdout().as_fd())? else {
            bail!("the machine has ended before it was moved");
        };
        if event["event"] != "MIGRATION" {
            continue;
        }
        match event["data"]["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => {
                let info = connection.call("query-migrate", Map::new())?;
                let why = info["error-desc"].as_str().unwrap_or("nobody knows why");
                bail!("the machine was not moved: {why}");
            }
            _ => {}
        }
    }
}

fn connect(address: &Address) -> Result<OwnedFd> {
    address.check()?;
    let socket: OwnedFd = match address {
        Address::Unix(path) => UnixStream::connect(path)?.into(),
        Address::Tcp { host, port } => TcpStream::connect((host.as_str(), *port))?.into(),
    };
    prepare(&socket);
    Ok(socket)
}

impl Connection {
    /// Passes a descriptor, with a name for it.
    fn pass(&mut self, name: &str, descriptor: std::os::fd::BorrowedFd<'_>) -> Result<()> {
        let arguments = Map::from_iter([("fdname".to_owned(), json!(name))]);
        self.call_with("getfd", arguments, Some(descriptor)).map(drop)
    }
}
