use std::fs;

use tempfile::TempDir;

use super::*;

/// A descriptor in the form of Debian and Fedora.
pub(in crate::firmware) fn descriptor(mapping: &str, machines: &str, features: &str) -> String {
    format!(
        r#"{{
            "description": "UEFI firmware for x86_64",
            "interface-types": ["uefi"],
            "mapping": {mapping},
            "targets": [{{ "architecture": "x86_64", "machines": [{machines}] }}],
            "features": [{features}],
            "tags": []
        }}"#
    )
}

pub(in crate::firmware) fn split(code: &str, variables: &str) -> String {
    format!(
        r#"{{ "device": "flash", "mode": "split",
             "executable": {{ "filename": "{code}", "format": "raw" }},
             "nvram-template": {{ "filename": "{variables}", "format": "raw" }} }}"#
    )
}

pub(in crate::firmware) const Q35: &str = r#""pc-i440fx-*", "pc-q35-*""#;

/// Writes descriptors, with their directories, below a root.
fn root(files: &[(&str, String)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// The names of the firmware that is found, below the root.
fn found(root: &TempDir) -> Vec<String> {
    let builds = builds(root.path()).into_iter();
    let code = builds.map(|build| build.files.code.strip_prefix(root.path()).unwrap().to_owned());
    code.map(|path| path.to_string_lossy().into_owned()).collect()
}

#[test]
fn builds_come_in_the_order_of_their_files_names() {
    let flash = |name: &str| descriptor(&split(&format!("/f/{name}"), "/f/vars"), Q35, "");
    let root = root(&[
        ("usr/share/qemu/firmware/60-b.json", flash("b")),
        ("usr/share/qemu/firmware/50-a.json", flash("a")),
        ("usr/share/qemu/firmware/70-masked.json", flash("masked")),
        ("usr/share/qemu/firmware/80-readme.txt", flash("no")),
        ("etc/qemu/firmware/70-masked.json", String::new()),
        ("etc/qemu/firmware/55-own.json", flash("own")),
        ("etc/qemu/firmware/60-b.json", flash("instead-of-b")),
    ]);
    assert_eq!(found(&root), ["f/a", "f/own", "f/instead-of-b"]);
    let first = &builds(root.path())[0];
    assert_eq!(first.files.variables, Some(root.path().join("f/vars")));
    assert_eq!(first.unusable, None);
}

#[test]
fn builds_for_other_machines_are_none() {
    let memory = r#"{ "device": "memory", "filename": "/f/OVMF.fd" }"#;
    let folder = "usr/share/qemu/firmware";
    let other_cpu = descriptor(memory, Q35, "").replace("x86_64\", \"machines", "aarch64\", \"machines");
    let root = root(&[
        (&format!("{folder}/10.json"), descriptor(memory, r#""microvm""#, "")),
        (&format!("{folder}/20.json"), descriptor(memory, Q35, r#""intel-tdx""#)),
        (&format!("{folder}/30.json"), other_cpu),
        (&format!("{folder}/40.json"), descriptor(r#"{ "device": "kernel", "filename": "x" }"#, Q35, "")),
        (&format!("{folder}/50.json"), descriptor(memory, Q35, "").replace("\"uefi\"", "\"bios\"")),
        (&format!("{folder}/60.json"), "{ not JSON".to_owned()),
        (&format!("{folder}/70.json"), descriptor(memory, Q35, r#""acpi-s3", "amd-sev""#)),
    ]);
    assert_eq!(found(&root), ["f/OVMF.fd"]);
}

#[test]
fn firmware_that_needs_smm_is_reported() {
    let smm = descriptor(&split("/f/OVMF_CODE.secboot.fd", "/f/vars"), Q35, r#""requires-smm""#);
    let root = root(&[("usr/share/qemu/firmware/40.json", smm)]);
    assert_eq!(
        builds(root.path())[0].unusable,
        Some("a Secure Boot build that needs System Management Mode")
    );
}
