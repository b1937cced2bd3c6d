//! The server and its viewers, in the form for QMP and QEMU's monitor.

use std::{fmt, net::SocketAddr};

use serde_json::{Value, json};

/// A VNC server, or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct VncInfo(Option<ServerInfo>);

#[derive(Clone, Debug)]
struct ServerInfo {
    at: Endpoint,
    auth: &'static str,
    viewers: Vec<Endpoint>,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    host: String,
    service: String,
    family: &'static str,
}

/// The text of `info vnc`.
#[derive(Debug)]
pub(crate) struct InfoVnc<'a>(pub(crate) &'a VncInfo);

impl VncInfo {
    /// A server at `at`, with viewers.
    pub(super) fn new(at: Endpoint, has_password: bool, viewers: Vec<Endpoint>) -> Self {
        Self(Some(ServerInfo { at, auth: if has_password { "vnc" } else { "none" }, viewers }))
    }

    /// QMP's `VncInfo`.
    pub(crate) fn to_json(&self) -> Value {
        let Some(ServerInfo { at, auth, viewers }) = &self.0 else { return json!({"enabled": false}) };
        let viewers: Vec<_> = viewers
            .iter()
            .map(|Endpoint { host, service, family }| {
                json!({"host": host, "service": service, "family": family, "websocket": false})
            })
            .collect();
        json!({
            "enabled": true, "host": at.host, "service": at.service, "family": at.family,
            "auth": auth, "clients": viewers,
        })
    }
}

impl Endpoint {
    /// A TCP port.
    pub(super) fn tcp(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        Self { host: address.ip().to_string(), service: address.port().to_string(), family }
    }

    /// A unix socket at a path, which is empty for a viewer. QEMU shows both like this.
    pub(super) fn unix(path: &str) -> Self {
        Self { host: String::new(), service: path.to_owned(), family: "unix" }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, service, family } = self;
        write!(f, "{host}:{service} ({family})")
    }
}

impl fmt::Display for InfoVnc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ServerInfo { at, auth, viewers }) = &self.0.0 else { return writeln!(f, "None") };
        writeln!(f, "default:\n  Server: {at}\n    Auth: {auth} (Sub: none)")?;
        for viewer in viewers {
            writeln!(f, "  Client: {viewer}\n    x509_dname: none\n    sasl_username: none")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "info_test.rs"]
mod tests;
