use std::{collections::BTreeMap, fs};

use arch::boot;
use tempfile::NamedTempFile;

use super::{
    super::testing::{Elf, bzimage, file, message},
    *,
};

const MIB: u64 = 1 << 20;

fn open(image: &[u8], initramfs: Option<&[u8]>, cmdline: &str) -> Result<PassedKernel, KernelError> {
    let (kernel, initramfs) = (file(image), initramfs.map(file));
    let initramfs = initramfs.as_ref().map(|file: &NamedTempFile| file.path().to_owned());
    let (path, cmdline) = (kernel.path().to_owned(), cmdline.to_owned());
    PassedKernel::open(&KernelConfig { path, initramfs, cmdline }, Size(64 * MIB))
}

/// All items, after reading them, in a machine with `size` bytes of memory.
fn items(kernel: &PassedKernel, size: u64) -> Result<BTreeMap<u16, Vec<u8>>, KernelError> {
    let memory = GuestRam::from_ranges(&boot::firmware_memory_map(size).unwrap().ram).unwrap();
    let bytes = |content| match content {
        Content::Bytes(bytes) => bytes,
        Content::Read { len, read } => {
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            let (first, rest) = bytes.split_at_mut(len.min(5) as usize);
            read(0, first).unwrap();
            read(first.len() as u64, rest).unwrap();
            bytes
        }
        Content::Made { .. } => unreachable!("nothing is made"),
    };
    Ok(kernel.items(&memory)?.into_iter().map(|(key, content)| (key as u16, bytes(content))).collect())
}

fn number(items: &BTreeMap<u16, Vec<u8>>, key: Key) -> u64 {
    u32::from_le_bytes(items[&(key as u16)][..].try_into().unwrap()).into()
}

fn refusal(image: &[u8]) -> String {
    message(open(image, None, "").unwrap_err())
}

/// The address of an initramfs of `len` bytes.
fn initramfs_at(len: usize, size: u64, change: impl Fn(&mut setup_header)) -> Result<u64, String> {
    let kernel = open(&bzimage(4096, change), Some(&vec![1; len]), "").unwrap();
    items(&kernel, size).map(|items| number(&items, Key::InitrdAddr)).map_err(message)
}

#[test]
fn the_parts_of_a_kernel_are_items() {
    let image = bzimage(5000, |header| header.syssize = 5000 / 16);
    let items = items(&open(&image, Some(b"initramfs"), "quiet").unwrap(), 64 * MIB).unwrap();
    let bytes = |key: Key| &items[&(key as u16)][..];
    assert_eq!((number(&items, Key::KernelAddr), number(&items, Key::KernelSize)), (0x10_0000, 5000));
    assert!(bytes(Key::KernelData) == &image[1024..]);
    assert_eq!((number(&items, Key::CmdlineAddr), number(&items, Key::CmdlineSize)), (0x2_0000, 6));
    assert_eq!(bytes(Key::CmdlineData), b"quiet\0");
    assert_eq!(number(&items, Key::InitrdSize), 9);
    assert_eq!(bytes(Key::InitrdData), b"initramfs");
    assert_eq!((number(&items, Key::SetupAddr), number(&items, Key::SetupSize)), (0x1_0000, 1024));

    // The fields that a boot loader sets, and no others.
    let mut setup = image[..1024].to_vec();
    setup[0x210..0x212].copy_from_slice(&[0xb0, 0x81]);
    setup[0x218..0x21c].copy_from_slice(bytes(Key::InitrdAddr));
    setup[0x21c] = 9;
    setup[0x224..0x226].copy_from_slice(&[0x00, 0xfe]);
    setup[0x228..0x22c].copy_from_slice(bytes(Key::CmdlineAddr));
    assert!(bytes(Key::SetupData) == setup);
}

#[test]
fn without_an_initramfs_there_are_no_items_of_it() {
    let items = items(&open(&bzimage(4096, |_| {}), None, "").unwrap(), 64 * MIB).unwrap();
    assert!(
        [Key::InitrdAddr, Key::InitrdSize, Key::InitrdData]
            .iter()
            .all(|key| !items.contains_key(&(*key as u16)))
    );
    assert_eq!(items[&(Key::CmdlineData as u16)], b"\0");
    assert_eq!(items[&(Key::SetupData as u16)][0x218..0x220], [0; 8]);
}

#[test]
fn an_initramfs_ends_where_the_header_says_or_memory_does() {
    // In the last page below the limit, by which the option ROM knows to leave it there.
    for (len, at) in [(1, 0x37ff_f000), (4096, 0x37ff_e000), (4097, 0x37ff_e000), (9000, 0x37ff_d000)] {
        assert_eq!(
            initramfs_at(len, 2 << 30, |header| header.initrd_addr_max = 0x37ff_ffff),
            Ok(at),
            "{len}"
        );
    }
    let old = |header: &mut setup_header| (header.version, header.initrd_addr_max) = (0x0202, 5);
    assert_eq!(initramfs_at(1, 2 << 30, old), Ok(0x37ff_f000));
    let tables = BIOS_TABLES;
    assert_eq!(initramfs_at(1, 64 * MIB, |_| {}), Ok(64 * MIB - tables - 4096));
    let anywhere = |header: &mut setup_header| (header.xloadflags, header.initrd_addr_max) = (3, 0x37ff_ffff);
    assert_eq!(initramfs_at(1, 3 << 30, anywhere), Ok(layout::FIRMWARE_RAM_END - tables - 4096));

    let error = initramfs_at(1 << 20, 17 * MIB, |header| header.init_size = 0x8_0000).unwrap_err();
    assert!(error.ends_with("give --memory at least 18 MiB"), "{error}");
    let error = initramfs_at(1 << 20, 1 << 30, |header| header.initrd_addr_max = 0x110_0000).unwrap_err();
    assert!(error.contains("has to end by its header's initrd_addr_max; make it smaller"), "{error}");
}

#[test]
fn programs_of_older_protocols_are_taken() {
    // Like memdisk and iPXE: `syssize` and all fields that their version lacks are meaningless.
    let image = bzimage(600, |header| {
        (header.version, header.syssize, header.xloadflags) = (0x0203, 0x1000, 0);
        (header.cmdline_size, header.init_size, header.pref_address) = (1, u32::MAX, u64::MAX);
    });
    let items = items(&open(&image, None, &"x".repeat(255)).unwrap(), 16 * MIB).unwrap();
    assert_eq!(number(&items, Key::KernelSize), 600);
    let error =
        |cmdline: &str| message(self::items(&open(&image, None, cmdline).unwrap(), 16 * MIB).unwrap_err());
    assert_eq!(error(&"x".repeat(256)), "--cmdline: 256 bytes, and this kernel takes at most 255");
}

#[test]
fn kernels_that_firmware_can_not_start_are_refused() {
    let zimage = bzimage(4096, |header| header.loadflags = 0);
    let ancient = bzimage(4096, |header| header.version = 0x0201);
    let mut long = bzimage(200 << 10, |header| header.setup_sects = 128);
    long.resize(300 << 10, 0);
    for (image, expected) in [
        (
            &Elf::new().bytes()[..],
            "this is an ELF file, which nvmm starts without --firmware; firmware starts a bzImage",
        ),
        (b"", "the file is empty; firmware starts a bzImage"),
        (&zimage, "this is a zImage, which is loaded below 1 MiB"),
        (&ancient, "this kernel is older than boot protocol 2.02"),
        (&long, "its real-mode part is longer than 64 KiB"),
        (&bzimage(4096, |_| {})[..0x240], "its header is not whole"),
        (&bzimage(4096, |_| {})[..2000], "its header speaks of 5120 bytes, and there are 2000"),
        (
            &bzimage(0, |header| header.version = 0x0203),
            "its header speaks of more than 1024 bytes, and there are 1024",
        ),
    ] {
        let error = refusal(image);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let large = open(&bzimage(4096, |_| {}), None, "").unwrap();
    let error = message(items(&large, 17 * MIB).unwrap_err());
    assert!(error.contains("needs memory up to 0x1140000") && error.ends_with("at least 18 MiB"), "{error}");
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let (image, initramfs) = (file(&bzimage(4096, |_| {})), file(b"initramfs"));
    let config = KernelConfig {
        path: image.path().to_owned(),
        initramfs: Some(initramfs.path().to_owned()),
        cmdline: String::new(),
    };
    let kernel = PassedKernel::open(&config, Size(MIB)).unwrap();
    let memory = GuestRam::from_ranges(&boot::firmware_memory_map(64 * MIB).unwrap().ram).unwrap();
    let before = kernel.items(&memory).unwrap();
    fs::write(initramfs.path(), b"short").unwrap();
    let data = before.into_iter().find(|(key, _)| *key == Key::InitrdData);
    let Some((_, Content::Read { read, .. })) = data else { panic!("it is a file") };
    let error = read(0, &mut [0; 5]).unwrap_err().to_string();
    assert!(error.contains("the file was overwritten since nvmm opened it"), "{error}");
    assert!(message(kernel.items(&memory).unwrap_err()).contains("overwritten"));
}
