use super::*;

/// A bzImage with one block.
fn bzimage(kernel: &[u8]) -> Vec<u8> {
    let block = lz4_flex::block::compress(kernel);
    let payload = [
        &LZ4_LEGACY[..],
        &u32::try_from(block.len()).unwrap().to_le_bytes(),
        &block,
        &u32::try_from(kernel.len()).unwrap().to_le_bytes(),
    ]
    .concat();
    let mut image = vec![0; 2 * 512 + 0x40];
    image[SETUP_SECTS] = 1;
    image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
    image[PAYLOAD_OFFSET] = 0x40;
    image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4]
        .copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    image.extend(payload);
    image
}

#[test]
fn the_payload_is_unpacked() {
    let kernel = [b"\x7fELF".as_slice(), &[7; 1000]].concat();
    let image = bzimage(&kernel);
    assert_eq!(extract(&image).unwrap(), kernel);
    let error = extract(&image[..image.len() - 1]).unwrap_err();
    assert_eq!(error.to_string(), "the payload is outside the file");
}

#[test]
fn other_kernels_are_refused() {
    assert_eq!(extract(b"\x7fELF").unwrap_err().to_string(), "not a bzImage");
    assert_eq!(extract(&bzimage(b"MZ")).unwrap_err().to_string(), "the payload is not an ELF file");
    let mut xz = bzimage(b"\x7fELF");
    xz[2 * 512 + 0x40] = 0xfd;
    let error = extract(&xz).unwrap_err().to_string();
    assert_eq!(error, "the payload starts with [fd, 21, 4c, 18], which is not LZ4");
}
