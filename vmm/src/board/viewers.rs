//! `--display vnc=`: the VNC server.

use std::sync::Arc;

use anyhow::{Context, bail};
use devices::{
    chars::{Access, AddressError, Listener},
    display::Screen,
    input::Input,
    printable::ToPrintable,
};

use super::{Opening, screen::Viewers};
use crate::{
    config::VncConfig,
    vnc::{Password, Server, Subject},
};

/// The name that viewers show for a machine without a name.
const NAME: &str = "nvmm";

/// The VNC server, which outlives the machine's resets.
#[derive(Debug)]
pub(super) struct OpenViewers {
    place: String,
    server: Option<Arc<Server>>,
}

impl OpenViewers {
    /// Listens for viewers of `screen`. For a machine that will not run, it does not listen.
    ///
    /// # Errors
    ///
    /// The password can't be read, another program listens there, or the host refuses.
    pub(super) fn open(
        config: &VncConfig,
        opening: &mut Opening<'_>,
        screen: Arc<dyn Screen>,
        input: Arc<dyn Input>,
    ) -> anyhow::Result<Self> {
        let VncConfig { place, password_file } = config;
        let option = || format!("--display {place}");
        let password = password_file.as_ref().map(|path| {
            opening.taken.add("--display", path);
            Password::read(path).with_context(|| format!("--display password-file={}", path.printable()))
        });
        let password = password.transpose()?;
        if password.is_none() && !place.is_local() {
            log::warn!(
                "{}: without a password, whoever reaches that address sees the screen and can type; add password-file=PATH, or take vnc=127.0.0.1:N and an SSH tunnel",
                option()
            );
        }
        if opening.link.is_none() {
            return Ok(Self { place: place.to_string(), server: None });
        }
        let listener = listen(config).with_context(option)?;
        // If there are several, only this message says which one is used.
        let level = if place.addresses().nth(1).is_some() { log::Level::Warn } else { log::Level::Info };
        let place = listener.address().to_string();
        log::log!(level, "viewers connect at {place}");
        let name = opening.name.unwrap_or(NAME).to_owned();
        let subject = Subject { name, password, screen, input, caps_lock: Arc::default() };
        let server = Server::start(listener, subject).context("the VNC server can't be started")?;
        Ok(Self { place, server: Some(Arc::new(server)) })
    }

    /// The server in the form for the machine.
    pub(super) fn viewers(&self) -> Viewers {
        Viewers::new(&self.place, self.server.as_ref())
    }
}

/// Listens at the first free place of `config`.
fn listen(VncConfig { place, .. }: &VncConfig) -> anyhow::Result<Listener> {
    let mut taken = None;
    for address in place.addresses() {
        match Listener::new(&address, Access::Owner) {
            Ok(listener) => return Ok(listener),
            Err(error @ AddressError::PortInUse(_)) => taken = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let Some(AddressError::PortInUse(address)) = taken else { bail!("there is no place to listen at") };
    // Only listening shows whether it is free.
    let is_free = |address: &_| Listener::new(address, Access::Owner).is_ok();
    let free = place.next().take(100).find(|(_, address)| is_free(address));
    match free {
        Some((place, _)) => bail!(
            "{address}: another program listens there; {place} is free, or add to=N to take the first that is"
        ),
        None => bail!("{address}: another program listens there; give another display"),
    }
}

#[cfg(test)]
#[path = "viewers_test.rs"]
mod tests;
