//! The message to the service manager that the machine is ready: sd_notify(3).

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// A connection to the service manager, if nvmm is a service whose start it waits for (`Type=notify`).
#[derive(Debug)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Connects to the socket that the environment names. This must happen before nvmm enters a jail, which contains neither the socket's
    /// path nor the namespace of an abstract socket.
    ///
    /// # Errors
    ///
    /// Nothing listens at the socket.
    pub fn connect() -> io::Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(Self(None)) };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(Some(socket)))
    }

    /// Reports that the machine is ready.
    ///
    /// # Errors
    ///
    /// Nothing listens any more.
    pub fn ready(self) -> io::Result<()> {
        self.0.map_or(Ok(()), |socket| socket.send(b"READY=1").map(drop))
    }
}
