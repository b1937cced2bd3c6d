use std::io::Write;

use arch::boot;
use tempfile::NamedTempFile;
use vm_memory::GuestMemoryMmap;

use super::*;

const MEMORY: u64 = 64 << 20;

fn memory(size: u64) -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&boot::memory_map(size).unwrap().ram).unwrap()
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn load(
    image: &[u8],
    initramfs: Option<&[u8]>,
    cmdline: &str,
) -> Result<(Kernel, GuestMemoryMmap), KernelError> {
    let (kernel, initramfs, memory) = (file(image), initramfs.map(file), memory(MEMORY));
    let initramfs = initramfs.as_ref().map(NamedTempFile::path);
    Kernel::load(&memory, kernel.path(), initramfs, cmdline).map(|kernel| (kernel, memory))
}

/// A bzImage of `payload` bytes after one setup sector beside the boot sector.
fn bzimage(payload: usize, change: impl Fn(&mut setup_header)) -> Vec<u8> {
    let mut header = setup_header {
        setup_sects: 1,
        boot_flag: 0xaa55,
        header: u32::from_le_bytes(BZIMAGE_MAGIC.try_into().unwrap()),
        version: 0x020f,
        loadflags: 1,
        code32_start: 0x10_0000,
        syssize: u32::try_from(payload / 16).unwrap(),
        initrd_addr_max: 0x7fff_ffff,
        xloadflags: XLF_KERNEL_64,
        cmdline_size: 255,
        pref_address: 0x100_0000,
        init_size: 0x10_0000,
        ..Default::default()
    };
    change(&mut header);
    let mut image = vec![0; 1024];
    let bytes = vm_memory::ByteValued::as_slice(&header);
    image[BZIMAGE_HEADER..BZIMAGE_HEADER + bytes.len()].copy_from_slice(bytes);
    image.extend((0..payload).map(|n| n.to_le_bytes()[0]));
    image
}

/// An ELF executable of one segment.
fn elf(machine: u16, class: u8, paddr: u64, len: u64) -> Vec<u8> {
    let mut image = b"\x7fELF".to_vec();
    image.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    image.extend(machine.to_le_bytes());
    image.extend(1_u32.to_le_bytes());
    for word in [paddr, 64, 0] {
        image.extend(word.to_le_bytes());
    }
    image.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        image.extend(half.to_le_bytes());
    }
    image.extend(1_u32.to_le_bytes());
    image.extend(5_u32.to_le_bytes());
    for word in [0x1000, paddr, paddr, len, len, 0x1000] {
        image.extend(word.to_le_bytes());
    }
    image.resize(0x1000, 0);
    image.resize(0x1000 + usize::try_from(len).unwrap_or_default().min(0x1000), 0xf4);
    image
}

fn error(image: &[u8]) -> String {
    load(image, None, "").unwrap_err().to_string()
}

#[test]
fn a_bzimage_starts_at_its_64_bit_entry() {
    let (kernel, memory) = load(&bzimage(4096, |_| {}), Some(b"initramfs"), "console=ttyS0").unwrap();
    assert_eq!(kernel.entry, Entry { protocol: Protocol::Linux64, rip: 0x10_0200 });
    assert_eq!(memory.read_obj::<u32>(GuestAddress(0x10_0000)).unwrap(), 0x0302_0100);
    let initramfs = kernel.initramfs.unwrap();
    assert_eq!(initramfs, 0x3ff_f000..0x3ff_f009, "as high as memory goes");
    let mut text = [0; 9];
    memory.read_slice(&mut text, GuestAddress(initramfs.start)).unwrap();
    assert_eq!(&text, b"initramfs");
    let mut cmdline = [0xff; 14];
    memory.read_slice(&mut cmdline, GuestAddress(layout::CMDLINE)).unwrap();
    assert_eq!(&cmdline, b"console=ttyS0\0");
}

#[test]
fn an_elf_starts_at_its_entry() {
    let (kernel, memory) = load(&elf(ELF_MACHINE_X86_64, ELF_CLASS_64, 0x10_0000, 16), None, "").unwrap();
    assert_eq!(kernel.entry, Entry { protocol: Protocol::Linux64, rip: 0x10_0000 });
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_000f)).unwrap(), 0xf4);
}

#[test]
fn what_is_no_64_bit_kernel_is_refused_by_what_it_is() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "the file is empty"),
        (b"#!/bin/sh\n", "no kernel that nvmm knows"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"\x7fELF", "truncated"),
        (&elf(ELF_MACHINE_386, 1, 0x10_0000, 16), "32-bit"),
        (&elf(183, ELF_CLASS_64, 0x10_0000, 16), "not for x86-64"),
        (&elf(ELF_MACHINE_X86_64, ELF_CLASS_64, 0x1000, 16), "below 1 MiB"),
        (&bzimage(4096, |header| header.xloadflags = 0), "32-bit"),
        (&bzimage(4096, |header| header.version = 0x0204), "32-bit"),
    ];
    for (image, expected) in cases {
        let error = error(image);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn truncated_kernels_are_named_so_at_every_length() {
    let (bz, elf) = (bzimage(4096, |_| {}), elf(ELF_MACHINE_X86_64, ELF_CLASS_64, 0x10_0000, 0x1000));
    for len in [0x210, 0x268, 1024, 1040, bz.len() - 16] {
        let error = error(&bz[..len]);
        assert!(error.contains("truncated"), "bzImage of {len}: {error}");
    }
    for len in [40, 64, 100, 0x1000, elf.len() - 1] {
        let error = error(&elf[..len]);
        assert!(error.contains("truncated"), "ELF of {len}: {error}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let error = error(&bzimage(4096, |header| header.init_size = 0x1000_0000));
    assert!(error.contains("needs memory up to 0x11000000, and the guest's ends at 0x4000000"), "{error}");
    assert!(error.contains("--memory at least 272 MiB"), "{error}");
    let large = elf(ELF_MACHINE_X86_64, ELF_CLASS_64, 0x10_0000, 1 << 62);
    assert!(self::error(&large).contains("needs memory"));

    let error = load(&bzimage(4096, |_| {}), Some(&vec![0; 60 << 20]), "").unwrap_err().to_string();
    assert!(error.contains("62914560 bytes do not fit between"), "{error}");
    let error = load(&bzimage(4096, |_| {}), None, &"x".repeat(256)).unwrap_err().to_string();
    assert_eq!(error, "--cmdline: 256 bytes, and this kernel takes at most 255");
    assert!(load(&bzimage(4096, |_| {}), None, &"x".repeat(255)).is_ok());
}

#[test]
fn files_that_can_not_be_read_are_named_with_their_option() {
    let memory = memory(MEMORY);
    let error = Kernel::load(&memory, Path::new("/no/kernel"), None, "").unwrap_err().to_string();
    assert_eq!(error, "--kernel /no/kernel: can't be read");
    let kernel = file(&bzimage(4096, |_| {}));
    let error = Kernel::load(&memory, kernel.path(), Some(Path::new("/")), "").unwrap_err().to_string();
    assert_eq!(error, "--initramfs /: can't be read");
}
