use std::path::Path;

use arch::boot::{self, Protocol};
use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::{
    testing::{Elf, Header, bzimage, file, message, pvh_note},
    *,
};

const MEMORY: u64 = 64 << 20;

fn memory(size: u64) -> GuestRam {
    GuestRam::from_ranges(&boot::memory_map(size).unwrap().ram).unwrap()
}

fn config(path: &Path, initramfs: Option<&Path>, cmdline: &str) -> KernelConfig {
    let (initramfs, cmdline) = (initramfs.map(Path::to_owned), cmdline.to_owned());
    KernelConfig { path: path.to_owned(), initramfs, cmdline }
}

/// Loads into a machine with `size` bytes of memory.
fn load_into(
    size: u64,
    image: &[u8],
    initramfs: Option<&[u8]>,
    cmdline: &str,
) -> Result<(Kernel, GuestRam), KernelError> {
    let (kernel, initramfs, memory) = (file(image), initramfs.map(file), memory(size));
    let initramfs = initramfs.as_ref().map(NamedTempFile::path);
    let files = KernelFiles::open(&config(kernel.path(), initramfs, cmdline), Size(size))?;
    files.load(&memory).map(|kernel| (kernel, memory))
}

fn load(image: &[u8], initramfs: Option<&[u8]>, cmdline: &str) -> Result<(Kernel, GuestRam), KernelError> {
    load_into(MEMORY, image, initramfs, cmdline)
}

fn error(image: &[u8]) -> String {
    message(load(image, None, "").unwrap_err())
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
    let (kernel, memory) = load(&Elf::new().bytes(), None, "").unwrap();
    assert_eq!(kernel.entry, Entry { protocol: Protocol::Linux64, rip: 0x10_0000 });
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_0fff)).unwrap(), 0xf4);
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_1000)).unwrap(), 0);
}

#[test]
fn each_segment_goes_where_it_belongs() {
    let elf = Elf::new()
        .with(Header::load(0x1ff8, 0x300_0000, 8, 0x1000))
        .with(Header::load(0x2000, 0x1_0000, 8, 8))
        .with_notes(&pvh_note(0x10_0000), 4);
    let (kernel, memory) = load(&elf.bytes(), None, "").unwrap();
    assert_eq!(kernel.entry.protocol, Protocol::Pvh);
    let word = |at| memory.read_obj::<u64>(GuestAddress(at)).unwrap();
    assert_eq!((word(0x300_0000), word(0x300_0008)), (0xf4f4_f4f4_f4f4_f4f4, 0));
    assert_eq!((word(0x1_0000), word(0x1_0008)), (0x0000_0004_0000_0004, 0));
}

#[test]
fn the_initramfs_does_not_lie_over_the_bss() {
    let bss = Elf::new().with(Header::load(0, 0x110_0000, 0, 0x200_0000)).bytes();
    let (kernel, _) = load(&bss, Some(&[1; 0xf0_0000]), "").unwrap();
    assert_eq!(kernel.initramfs.unwrap().start, 0x310_0000);
    let error = message(load(&bss, Some(&[1; 0xf0_0001]), "").unwrap_err());
    let expected =
        "15728641 bytes do not fit above the kernel, which ends at 0x3100000; give --memory at least 65 MiB";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn above_4_gib_is_for_kernels_that_say_so() {
    // It leaves a page free below the hole.
    let large = |xloadflags| {
        bzimage(4096, move |header| {
            header.xloadflags = xloadflags;
            header.init_size = u32::try_from(layout::PCI_MMIO - 0x100_0000 - 0x1000).unwrap();
        })
    };
    let size = layout::PCI_MMIO + (64 << 10);
    let (kernel, memory) = load_into(size, &large(3), Some(&[7; 0x1001]), "").unwrap();
    let initramfs = kernel.initramfs.unwrap();
    assert_eq!(initramfs, 0x1_0000_e000..0x1_0000_f001);
    assert_eq!(memory.read_obj::<u8>(GuestAddress(initramfs.end - 1)).unwrap(), 7);

    let error = message(load_into(size, &large(1), Some(&[7; 0x1001]), "").unwrap_err());
    let expected = "4097 bytes do not fit above the kernel, which ends at 0xbffff000, and below 0x80000000, where its initramfs has to end by its header's initrd_addr_max; make it smaller";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn files_other_than_kernels_are_refused_by_their_kind() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "the file is empty"),
        (b"#!/bin/sh\n", "no kernel that nvmm knows"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"\xfd7zXZ\0", "an xz file"),
        (b"\x28\xb5\x2f\xfd\x24", "a zstd file"),
        (b"MZ\x90", "an EFI program"),
        (b"070701000", "an initramfs"),
        (b"\x7fELF", "truncated"),
    ];
    for (image, expected) in cases {
        let error = error(image);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn kernels_that_do_not_fit_are_refused_with_the_numbers() {
    let large = error(&bzimage(4096, |header| header.init_size = 0x1000_0000));
    assert!(large.contains("needs memory up to 0x11000000, and the guest's ends at 0x4000000"), "{large}");
    assert!(large.contains("--memory at least 272 MiB"), "{large}");
    for need in [layout::PCI_MMIO + 1, 1 << 32, u64::MAX - 1, u64::MAX] {
        let elf = Elf::new().with(Header::load(0, 0x20_0000, 0, need - 0x20_0000));
        let hopeless = error(&elf.bytes());
        let expected = format!("up to {need:#x}, and the guest's ends at 0x4000000; no amount will do");
        assert!(hopeless.contains(&expected), "{hopeless}");
    }

    let error = message(load(&bzimage(4096, |_| {}), Some(&vec![1; 60 << 20]), "").unwrap_err());
    assert!(error.contains("62914560 bytes do not fit above the kernel"), "{error}");
    let error = load(&bzimage(4096, |_| {}), None, &"x".repeat(256)).unwrap_err().to_string();
    assert_eq!(error, "--cmdline: 256 bytes, and this kernel takes at most 255");
    assert!(load(&bzimage(4096, |_| {}), None, &"x".repeat(255)).is_ok());
}

#[test]
fn an_initramfs_has_something_in_it() {
    let error = message(load(&Elf::new().bytes(), Some(b""), "").unwrap_err());
    assert!(error.ends_with("the file is empty; leave the option out to boot without"), "{error}");
}

#[test]
fn files_that_can_not_be_read_are_named_with_their_option() {
    let open = |kernel, initramfs| {
        KernelFiles::open(&config(kernel, initramfs, ""), Size(MEMORY)).unwrap_err().to_string()
    };
    assert_eq!(open(Path::new("/no/kernel"), None), "--kernel /no/kernel: can't be read");
    let kernel = file(&Elf::new().bytes());
    assert_eq!(open(kernel.path(), Some(Path::new("/"))), "--initramfs /: can't be read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An accepted kernel either loads or does not fit: it never reaches beyond the end of memory or of the file.
    #[test]
    fn accepted_kernels_load_or_do_not_fit(
        paddr in prop::sample::select(vec![0x1_0000, 0x20_0000, MEMORY - 0x1000, MEMORY, layout::PCI_MMIO, 1 << 32, 1 << 52]),
        memsz in prop::sample::select(vec![0x10, 0x1000, 0x1001, MEMORY, 1 << 40]),
        more in prop::sample::select(vec![0, 1, 0x1000, 1 << 32]),
        initramfs in 1_usize..0x3000,
    ) {
        let elf = Elf::new().with(Header::load(0x1000, paddr + more, 0x10, memsz));
        match load(&elf.bytes(), Some(&vec![1; initramfs]), "") {
            Ok((kernel, _)) => {
                let initramfs = kernel.initramfs.unwrap();
                prop_assert!(initramfs.start >= (paddr + more + memsz).max(0x10_1000));
                prop_assert!(initramfs.end <= MEMORY);
            }
            Err(KernelError::TooLarge { need, .. }) => prop_assert_eq!(need, paddr + more + memsz),
            Err(KernelError::Initramfs { .. } | KernelError::Image { .. }) => {}
            Err(other) => prop_assert!(false, "{}", message(other)),
        }
    }
}
