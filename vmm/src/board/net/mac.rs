//! The MAC address of a network device for which the user gives none.
//!
//! The address should be the same each time the machine starts, since leases and interface names depend on it, and never that of another machine on
//! the same network. Two machines with one UUID are the user's mistake. A disk that is written to is locked, so two running machines can't
//! have the same one.

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, absolute},
};

use devices::net::MacAddress;
use uuid::Uuid;

use crate::{
    config::{NetConfig, NetMac},
    identity::new_uuid,
};

/// machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// Returns the permanent address of a device, in a machine that alone writes to `own_disk`; none if nothing distinguishes the machine from
/// others.
pub(super) fn lasting(config: &NetConfig, own_disk: Option<&Path>) -> Option<MacAddress> {
    match config.mac {
        NetMac::Given(mac) | NetMac::Uuid(mac) => Some(mac),
        NetMac::Disk => {
            let host = fs::read_to_string(MACHINE_ID).ok()?.trim().parse().ok()?;
            Some(config.address_in(&machine(&host, own_disk?).ok()?))
        }
    }
}

/// Returns a new random address.
pub(super) fn any() -> MacAddress {
    MacAddress::local(new_uuid().as_u64_pair().1)
}

/// Identifies the machine that writes to `disk` on the host with this id: a file is identified by its name and its inode, as the inode of a
/// deleted file can be reused, and a file of the same name may be on another file system; a block device by its name.
fn machine(host: &Uuid, disk: &Path) -> io::Result<Uuid> {
    let metadata = fs::metadata(disk)?;
    let inode = if metadata.file_type().is_block_device() { 0 } else { metadata.ino() };
    let name = [absolute(disk)?.as_os_str().as_bytes(), &inode.to_be_bytes()].concat();
    Ok(Uuid::new_v5(host, &name))
}

#[cfg(test)]
#[path = "mac_test.rs"]
mod tests;
