//! The compiler for tiny guests.

use std::{path::Path, process::Command};

/// Compiles `source` to an ELF kernel: Rust without std, at 1 MiB, and without SSE, which a KVM in software may not emulate.
pub(crate) fn compile(source: &Path, output: &Path) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "bin", "-O", "-C", "panic=abort"])
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static,-sse,-sse2"])
        .args(["-C", "strip=symbols"])
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
        .arg(output)
        .arg(source)
        .output()
        .map_err(|error| format!("starting rustc: {error}"))?;
    if !compiled.status.success() {
        return Err(format!("{}: {}", source.display(), String::from_utf8_lossy(&compiled.stderr)));
    }
    Ok(())
}
