//! An nvmm without its optional parts refuses to use them, with the reason: `cargo test -p vmm --no-default-features --test without`.

#![cfg(not(any(feature = "compressed-modules", feature = "libvirt", feature = "vnc")))]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    error::Error,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use vmm::{host::Host, nest::modules::Modules};

/// Runs nvmm, which must fail, and returns its messages.
fn refusal(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvmm"));
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code().filter(|&status| status != 0), output.status.code(), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn libvirts_xml_is_missing() {
    let xml = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/cpu/domain.xml");
    let xml = xml.to_str().unwrap();
    const MISSING: &str = "this nvmm was built without libvirt's XML (the cargo feature libvirt)";
    let domain = refusal(&["--domain", xml, "--dry-run"]);
    assert!(domain.contains(&format!("--domain {xml}: {MISSING}")), "{domain}");
    let cpu = refusal(&["--cpu", &format!("file:{xml}"), "--dry-run"]);
    assert!(cpu.contains(&format!("--cpu file:{xml}: {MISSING}")), "{cpu}");
}

#[test]
fn decompressors_of_modules_are_missing() {
    for end in ["xz", "zst"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("kvm.ko.{end}")), "").unwrap();
        let modules = Modules::open(folder.path()).unwrap();
        let why = modules.resolve(&["kvm"], None).unwrap_err().source().map(ToString::to_string);
        let missing =
            "this nvmm was built without what unpacks xz and zstd (the cargo feature compressed-modules)";
        assert_eq!(why.as_deref(), Some(missing));
    }
}

#[test]
fn the_vnc_server_is_missing() {
    if let Err(error) = Host::open(Path::new("/dev/kvm")) {
        return println!("skipped: {error}");
    }
    let display = refusal(&["--display", "vnc=127.0.0.1:7", "--firmware", "bios", "--dry-run"]);
    assert!(
        display.contains(
            "--display vnc=127.0.0.1:7: this nvmm was built without its VNC server (the cargo feature vnc)"
        ),
        "{display}"
    );
}
