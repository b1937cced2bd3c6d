//! Reads blocks of registers with any width of access.

/// Reads `data.len()` bytes at `offset` of a block of registers, whose bytes are `image`. Bytes of `data` past the block's end are not
/// changed.
pub(crate) fn read(image: &[u8], offset: u64, data: &mut [u8]) {
    let rest = usize::try_from(offset).ok().and_then(|offset| image.get(offset..));
    for (byte, &value) in data.iter_mut().zip(rest.unwrap_or_default()) {
        *byte = value;
    }
}

#[cfg(test)]
#[path = "registers_test.rs"]
mod tests;
