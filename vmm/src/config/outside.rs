//! The files, ports and processes of the host that a machine's threads still need once they are confined, derived from the command line.

use std::path::PathBuf;

use devices::chars::Address;

use super::{
    display::DisplayConfig,
    gdb, net,
    qmp::QmpConfig,
    serial::{self, Place},
    vnc::VncPlace,
    vsock::VsockConfig,
};
use crate::args::MachineArgs;

/// Files, ports and processes outside nvmm that threads still use while the guest runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Sockets, and links to pseudoterminals, which are removed at the end.
    pub removed: Vec<PathBuf>,
    /// The PID file, which is also removed, and whose path may be a link.
    pub pid_file: Option<PathBuf>,
    /// TCP ports that serial ports connect to.
    pub ports: Vec<u16>,
    /// Some serial ports are pseudoterminals. Their other side is opened again at the end, to see what is still unread.
    pub terminals: bool,
    /// The kernel serves the socket device. Its node is reopened whenever connections have to end.
    pub vhost_vsock: bool,
    /// The guest can connect to programs that listen at unix sockets.
    pub unix_sockets: bool,
    /// passt runs beside nvmm, which ends it.
    pub passt: bool,
}

impl Outside {
    /// Reads the relevant options before the first thread is started. Invalid values are left to [`VmConfig::new`](super::VmConfig::new),
    /// which ends nvmm.
    #[must_use]
    pub fn of(args: &MachineArgs) -> Self {
        let mut outside =
            Self { pid_file: args.pidfile.clone(), passt: net::has_passt(&args.net), ..Self::default() };
        let qmp = args.qmp.as_deref().and_then(|qmp| QmpConfig::parse(qmp).ok());
        outside.removed.extend(qmp.map(|qmp| qmp.path));
        if let Some(Ok(Address::Unix(path))) = args.gdb.as_deref().map(gdb::gdb) {
            outside.removed.push(path);
        }
        let display = DisplayConfig::parse(&args.display).ok().flatten();
        if let Some(VncPlace::Unix(path)) = display.and_then(|display| display.vnc).map(|vnc| vnc.place) {
            outside.removed.push(path);
        }
        if let Some(Ok(vsock)) = args.vsock.as_deref().map(VsockConfig::parse) {
            (outside.vhost_vsock, outside.unix_sockets) = (vsock.path.is_none(), vsock.path.is_some());
            outside.removed.extend(vsock.path);
        }
        for port in serial::ports(&args.serial, false).unwrap_or_default() {
            outside.terminals |= matches!(port.place, Place::Pty { .. });
            match port.place {
                Place::Server { address: Address::Unix(path), .. } | Place::Pty { link: Some(path) } => {
                    outside.removed.push(path);
                }
                Place::Client { address: Address::Tcp { port, .. }, .. } => outside.ports.push(port),
                _ => {}
            }
        }
        outside
    }
}

#[cfg(test)]
#[path = "outside_test.rs"]
mod tests;
