use super::*;

/// isolinux reads plain ISO 9660, in which names have at most eight and three letters.
#[test]
fn the_menu_starts_only_files_that_are_on_the_cd() {
    let on_cd = UNPACKED.iter().map(|(_, _, name)| *name).chain(HDT).chain(["grub.krn"]);
    let on_cd: Vec<_> = on_cd.collect();
    let started = CONFIG
        .lines()
        .filter_map(|line| line.trim().strip_prefix("LINUX ").or(line.trim().strip_prefix("COM32 ")));
    let started: Vec<_> = started.collect();
    assert_eq!(started, ["memtest.bin", "ipxe.krn", "hdt.c32", "grub.krn"]);
    for file in started {
        assert!(on_cd.contains(&file), "{file}");
        let (stem, extension) = file.split_once('.').unwrap();
        assert!(stem.len() <= 8 && extension.len() <= 3, "{file}");
    }
}

/// SeaBIOS sends the screen to the serial port: if isolinux did too, every character would appear twice.
#[test]
fn isolinux_leaves_the_serial_port_to_the_bios() {
    assert!(!CONFIG.contains("SERIAL"));
}
