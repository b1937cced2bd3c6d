//! Tiny guests and the nvmm that runs them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

/// The nvmm under test.
pub fn nvmm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvmm"));
    command.stdin(Stdio::null());
    command
}

/// Compiles `tests/guests/NAME.rs` to an ELF kernel: Rust without std, at 1 MiB.
pub fn guest(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests").join(name).with_extension("rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(std::process::id().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let output = folder.join(name);
    if !output.exists() {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(rustc)
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "bin",
                "-O",
                "-C",
                "panic=abort",
                "-C",
                "relocation-model=static",
            ])
            .args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"])
            .args(
                [
                    "-nostartfiles",
                    "-nostdlib",
                    "-static",
                    "-no-pie",
                    "-Wl,--image-base=0x100000",
                    "-Wl,--build-id=none",
                    "-Wl,-zmax-page-size=0x1000",
                    "-Wl,-znorelro",
                ]
                .map(|arg| format!("-Clink-arg={arg}")),
            )
            .arg("-o")
            .arg(&output)
            .arg(&source)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{name}: {}", String::from_utf8_lossy(&compiled.stderr));
    }
    output
}

/// Runs a tiny guest with a debug-exit port.
pub fn run(name: &str, options: &[&str]) -> Output {
    nvmm()
        .arg("--kernel")
        .arg(guest(name))
        .args(["--debug-exit", "0xf4", "--memory", "16M"])
        .args(options)
        .output()
        .unwrap()
}
