//! `--ssh-key`: public keys in OpenSSH's form.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use devices::printable::ToPrintable;

use super::fault::Fault;
use crate::small_file;

/// Reads the public keys in the file at `path`: one that ssh-keygen wrote, or one like `authorized_keys`, with a key on
/// each line.
///
/// # Errors
///
/// The file can't be read, a line is no key, there is no key, or the key is private.
pub(super) fn read(path: &Path) -> Result<Vec<String>, Fault> {
    let text = small_file::read(path).map_err(|error| Fault::File(error.to_string()))?;
    Ok(keys(&text, path)?)
}

/// The keys in the `text` of the file at `path`.
fn keys(text: &str, path: &Path) -> Result<Vec<String>, String> {
    let shown = path.printable();
    if is_private(text) || text.contains("PRIVATE KEY-----") {
        return Err(format!(
            "that is a private key, which no guest needs; give the public one, often {shown}.pub"
        ));
    }
    if text.starts_with("---- BEGIN SSH2 PUBLIC KEY") {
        return Err(format!("OpenSSH writes keys in another form; ssh-keygen -i -f {shown} prints it"));
    }
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut keys = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if !is_key(line) {
            return Err(format!(
                "line {number} is no public key, such as ssh-keygen writes: 'ssh-ed25519 AAAA... name'"
            ));
        }
        keys.push(line.to_owned());
    }
    if keys.is_empty() { Err("there is no key in it".to_owned()) } else { Ok(keys) }
}

/// Returns whether a file is a private key of OpenSSH, OpenSSL or PuTTY. (A file that only mentions one is not.)
pub(super) fn is_private(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    first.starts_with("PuTTY-User-Key-File")
        || first.starts_with("-----BEGIN ") && first.contains("PRIVATE KEY-----")
}

/// Returns whether a line has the name of an algorithm, followed by a key that begins with the same name. Options may come first, and a
/// comment last: sshd(8), "`AUTHORIZED_KEYS` FILE FORMAT"; RFC 4253, "Public Key Algorithms".
fn is_key(line: &str) -> bool {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| {
        let Ok(key) = BASE64_STANDARD.decode(pair[1]) else { return false };
        let name = key.split_first_chunk().and_then(|(len, rest)| {
            let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
            rest.get(..len)
        });
        !pair[0].is_empty() && name == Some(pair[0].as_bytes())
    })
}

#[cfg(test)]
#[path = "public_key_test.rs"]
mod tests;
