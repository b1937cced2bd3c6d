use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn the_option_rom_is_found_where_distributions_put_it() {
    let root = TempDir::new().unwrap();
    let error = rom(root.path()).unwrap_err().to_string();
    assert!(error.contains("apt install qemu-system-data"), "{error}");
    for (at, value) in ROMS.iter().zip([1, 2]).rev() {
        let mut bytes = vec![value; 2 * BLOCK];
        bytes[..3].copy_from_slice(&[0x55, 0xaa, 2]);
        let path = root.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(rom(root.path()).unwrap(), bytes, "{at}: the first that is there");
    }
}

#[test]
fn an_option_rom_that_is_none_is_refused() {
    let root = TempDir::new().unwrap();
    let path = root.path().join(ROMS[0]);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for bytes in [&[][..], &[0x55, 0xaa], &[0x55, 0xaa, 0], &[0x55, 0xaa, 1, 0], &[0; BLOCK]] {
        fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", anyhow::Error::from(rom(root.path()).unwrap_err()));
        assert!(error.ends_with("linuxboot_dma.bin: it is no option ROM, or not a whole one"), "{error}");
    }
}
