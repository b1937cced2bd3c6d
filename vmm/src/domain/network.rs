//! libvirt's networks, to which a domain refers by name.

use std::{io, path::Path};

use roxmltree::Document;

use crate::small_file;

/// The folder in which libvirt keeps them.
const FOLDER: &str = "/etc/libvirt/qemu/networks";
/// The network that comes with libvirt.
const DEFAULT: (&str, &str) = ("default", "virbr0");

/// Finds the bridge of a network.
///
/// # Errors
///
/// There is no such network here; the error says what to give instead.
pub fn bridge_of(network: &str) -> Result<String, String> {
    find(Path::new(FOLDER), network)
}

fn find(folder: &Path, network: &str) -> Result<String, String> {
    if network.is_empty() || network.contains(['/', '\0']) || network.starts_with('.') {
        return Err("that is no network's name".to_owned());
    }
    let file = folder.join(format!("{network}.xml"));
    match small_file::read(&file) {
        Ok(text) => bridge(&text).ok_or_else(|| {
            format!("{} names no bridge; give --net, or <interface type='bridge'>", file.display())
        }),
        // Only root can read libvirt's folder.
        Err(error)
            if network == DEFAULT.0
                && [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind()) =>
        {
            Ok(DEFAULT.1.to_owned())
        }
        Err(error) => Err(format!(
            "its bridge is in {}: {error}; say <interface type='bridge'>, with the bridge that virsh net-info prints",
            file.display()
        )),
    }
}

/// `<network><bridge name=''/></network>`.
fn bridge(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let root = document.root_element();
    let bridge = root.children().find(|child| child.has_tag_name("bridge"));
    bridge?.attribute("name").map(str::to_owned).filter(|_| root.has_tag_name("network"))
}

#[cfg(test)]
#[path = "network_test.rs"]
mod tests;
