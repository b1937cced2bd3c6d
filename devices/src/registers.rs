//! Reading register blocks, whatever the width of the access.

/// Reads `data.len()` bytes at `offset` of the block that is `image` in bytes. `data` keeps what it held for those past
/// the end.
pub(crate) fn read(image: &[u8], offset: u64, data: &mut [u8]) {
    let rest = usize::try_from(offset).ok().and_then(|offset| image.get(offset..));
    for (byte, &value) in data.iter_mut().zip(rest.unwrap_or_default()) {
        *byte = value;
    }
}

#[cfg(test)]
#[path = "registers_test.rs"]
mod tests;
