//! Fuzzes kernels.

use std::{fs, sync::LazyLock};

use arch::{boot, memory::GuestRam};
use tempfile::TempDir;

use super::{KernelFiles, PassedKernel};
use crate::{config::KernelConfig, size::Size};

const MEMORY: u64 = 64 << 20;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("there is a place for it"));

/// Loads a kernel into memory, and prepares it for firmware. The first byte chooses the initramfs and the command line.
///
/// # Panics
///
/// The initramfs would be outside of memory.
pub fn kernel(data: &[u8]) {
    let Some((&how, image)) = data.split_first() else { return };
    let (path, initramfs) = (FOLDER.path().join("kernel"), FOLDER.path().join("initramfs"));
    fs::write(&path, image).expect("there is a place for it");
    let with_initramfs = how & 1 != 0;
    if with_initramfs {
        fs::write(&initramfs, vec![how; 1 + usize::from(how) * 64]).expect("there is a place for it");
    }
    let config = KernelConfig {
        path,
        initramfs: with_initramfs.then_some(initramfs),
        cmdline: "x".repeat(usize::from(how >> 1) * 32),
    };
    let map = boot::memory_map(MEMORY).expect("it is enough");
    let memory = || GuestRam::from_ranges(&map.ram).expect("there is memory");
    if let Ok(kernel) = KernelFiles::open(&config, Size(MEMORY)).and_then(|files| files.load(&memory())) {
        let in_memory = kernel.initramfs.is_none_or(|place| place.start < place.end && place.end <= MEMORY);
        assert!(in_memory);
    }
    let memory = memory();
    if let Ok(kernel) = PassedKernel::open(&config, Size(MEMORY)) {
        drop(kernel.items(&memory));
    }
}
