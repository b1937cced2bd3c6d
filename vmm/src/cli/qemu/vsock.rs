//! QEMU's words for sockets to the guest, as nvmm's `--vsock`.
//!
//! ```text
//! -device vhost-vsock-pci,id=ID,guest-cid=N  -->  --vsock guest-cid=N
//! ```

use std::{borrow::Cow, ffi::OsString};

use super::given::{Value, is_always, respell};

/// QEMU's names for a socket device that the kernel serves.
const DEVICES: [&str; 2] = ["vhost-vsock-pci", "vhost-vsock-pci-non-transitional"];

/// The command line, with two dashes, with `--vsock` instead of QEMU's device, and what can't be had, as with
/// [`as_net`](super::as_net).
pub(in crate::cli) fn as_vsock(words: &[OsString]) -> (Cow<'_, [OsString]>, Vec<String>) {
    respell(words, &[], |given| {
        let value = Value::of(given.value);
        let is_ours = given.name == "device" && DEVICES.contains(&value.first);
        is_ours.then(|| vsock(&value).map(|vsock| Some(("--vsock", vsock))))
    })
}

/// The value of `--vsock` for that of `-device`.
fn vsock(device: &Value<'_>) -> Result<String, String> {
    let refused = |why: &str| Err(format!("-device {} is QEMU's: {why}", device.first));
    let mut keys = Vec::new();
    for (key, value, part) in device.pairs() {
        match (key, value) {
            ("guest-cid", _) => keys.push(part),
            ("id", _) | ("seqpacket", "auto" | "on" | "true") => {}
            _ if is_always(key, value) => {}
            _ => return refused(&format!("nvmm's device has no '{part}'; leave it out")),
        }
    }
    if keys.is_empty() {
        return refused("the guest's address is missing; add guest-cid=N");
    }
    Ok(keys.join(","))
}

#[cfg(test)]
#[path = "vsock_test.rs"]
mod tests;
