//! The back ends of serial ports, opened on the host.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use devices::{
    chars::{Address, Backend, Client, FileBackend, NullBackend, Pty, Server, log_to},
    output::Output,
};

use crate::{
    config::{Place, SerialConfig},
    link::Link,
    output::{OutputError, Taken},
    port::Port,
};

/// Opens the place of port `number` on the host, and has the main thread serve it. This can take a while: a FIFO waits for its reader, and
/// a host's name is resolved. Returns the port's output; `None` if it goes nowhere.
///
/// # Errors
///
/// A file is of the wrong kind, a socket is in use, or the host refuses.
pub(super) fn connect(
    number: usize,
    name: &'static str,
    config: &SerialConfig,
    link: &Link,
    taken: &mut Taken,
) -> Result<Option<Output>> {
    let log = log(config, taken)?;
    // The terminal is served already, and may have no stdout.
    if let (Place::Stdio, Some(stdout)) = (&config.place, link.stdout()) {
        log_to(&stdout, log)?;
        return Ok(Some(stdout));
    }
    let backend: Box<dyn Backend> = match &config.place {
        Place::File { path, append } => {
            let file = file(path, *append, taken)?;
            Box::new(FileBackend::new(name, path.clone(), file, log)?)
        }
        _ => open(name, config, log).with_context(|| format!("--serial {config}"))?,
    };
    log::info!("{name}: {}", backend.describe());
    let output = backend.output();
    link.serve(Port::new(number, backend));
    Ok(output)
}

fn log(config: &SerialConfig, taken: &mut Taken) -> Result<Option<File>, OutputError> {
    let Some(path) = &config.log else { return Ok(None) };
    Ok(Some(taken.create("--serial log", path)?))
}

fn file(path: &Path, append: bool, taken: &mut Taken) -> Result<File, OutputError> {
    const OPTION: &str = "--serial file";
    if append { taken.append(OPTION, path) } else { taken.create(OPTION, path) }
}

/// Opens a place that is no file, and logs what the user can't know otherwise.
fn open(name: &'static str, config: &SerialConfig, log: Option<File>) -> Result<Box<dyn Backend>> {
    Ok(match &config.place {
        Place::Pty { link } => {
            let pty = Pty::new(name, link.as_deref(), log)?;
            log::warn!("{name} is {}", pty.path().display());
            Box::new(pty)
        }
        Place::Server { address, options } => {
            let server = Server::new(name, address, *options, log)?;
            match address {
                _ if options.wait => log::warn!("{name} waits for a connection at {}", server.address()),
                Address::Tcp { port: 0, .. } => log::warn!("{name} is at {}", server.address()),
                _ => {}
            }
            Box::new(server)
        }
        Place::Client { address, telnet } => Box::new(Client::new(name, address.clone(), *telnet, log)?),
        Place::Stdio | Place::Null | Place::File { .. } => Box::new(NullBackend::new(name, log)?),
    })
}
