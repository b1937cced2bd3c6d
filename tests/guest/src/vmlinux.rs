//! The ELF kernel inside a bzImage.

use anyhow::{Context, bail, ensure};

/// Linux, "Documentation/arch/x86/boot.rst": header fields by their offsets.
const SETUP_SECTS: usize = 0x1f1;
const HEADER_MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// LZ4's legacy frame, which Linux uses: the magic number, and blocks with their lengths, each of which expands to at most 8 MiB.
const LZ4_LEGACY: [u8; 4] = 0x184c_2102_u32.to_le_bytes();
const LZ4_BLOCK: usize = 8 << 20;

/// Unpacks it.
pub(crate) fn extract(bzimage: &[u8]) -> anyhow::Result<Vec<u8>> {
    ensure!(bzimage.get(HEADER_MAGIC..HEADER_MAGIC + 4) == Some(b"HdrS"), "not a bzImage");
    let setup = match bzimage[SETUP_SECTS] {
        0 => 5 * 512,
        sectors => (usize::from(sectors) + 1) * 512,
    };
    let start = setup.checked_add(number(bzimage, PAYLOAD_OFFSET)?).context("the payload's offset")?;
    let len = number(bzimage, PAYLOAD_LENGTH)?;
    // The last word is the payload's uncompressed size, which the kernel's own decompressor needs.
    let payload = start.checked_add(len).and_then(|end| bzimage.get(start..end)?.split_last_chunk::<4>());
    let (payload, size) = payload.context("the payload is outside the file")?;
    let Some(blocks) = payload.strip_prefix(&LZ4_LEGACY) else {
        bail!("the payload starts with {:02x?}, which is not LZ4", &payload[..payload.len().min(4)]);
    };
    let image = unpack(blocks)?;
    ensure!(image.len() == number(size, 0)?, "{} bytes unpacked, {} expected", image.len(), number(size, 0)?);
    ensure!(image.starts_with(b"\x7fELF"), "the payload is not an ELF file");
    Ok(image)
}

fn unpack(mut blocks: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut image = Vec::new();
    while let Some((_, rest)) = blocks.split_first_chunk::<4>() {
        let len = number(blocks, 0)?;
        ensure!(len <= rest.len(), "a block of {len} bytes where {} are left", rest.len());
        let (block, rest) = rest.split_at(len);
        image.extend(lz4_flex::block::decompress(block, LZ4_BLOCK).context("unpacking the kernel")?);
        blocks = rest;
    }
    Ok(image)
}

/// The 32-bit number at `at`.
fn number(bytes: &[u8], at: usize) -> anyhow::Result<usize> {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).context("the file is truncated")?;
    Ok(usize::try_from(u32::from_le_bytes(*bytes))?)
}

#[cfg(test)]
#[path = "vmlinux_test.rs"]
mod tests;
