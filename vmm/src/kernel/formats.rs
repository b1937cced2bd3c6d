//! The format of a kernel's file.

use super::{
    bzimage, elf,
    error::KernelError,
    image::{Image, ImageError},
    source::Source,
};

/// The number of first bytes to read, which show the format and contain a bzImage's header.
pub(super) const HEAD: usize = 0x1000;

/// Reads the headers of a kernel's file.
pub(super) fn read(source: &Source) -> Result<Image, KernelError> {
    let head = source.head(HEAD)?;
    let read = if head.starts_with(b"\x7fELF") {
        elf::read(&head, source)
    } else if bzimage::is_one(&head) {
        bzimage::read(&head, source.len())
    } else {
        Err(ImageError::NotAKernel(what_it_is(&head)))
    };
    read.map_err(|error| KernelError::Image { path: source.path().to_owned(), source: error })
}

pub(super) fn what_it_is(head: &[u8]) -> &'static str {
    match head {
        [] => "the file is empty",
        [0x1f, 0x8b, ..] => "this is a gzip file, to be unpacked before (--kernel <(zcat FILE))",
        [0xfd, b'7', b'z', ..] => "this is an xz file, to be unpacked before (--kernel <(xzcat FILE))",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "this is a zstd file, to be unpacked before (--kernel <(zstdcat FILE))"
        }
        [b'M', b'Z', ..] => "this is an EFI program, but no x86 bzImage",
        [b'0', b'7', b'0', b'7', b'0', b'1', ..] => "this is an initramfs, which --initramfs takes",
        _ => "this is no kernel that nvmm knows",
    }
}
