use std::{collections::BTreeMap, io::Read, path::Path, process::Command};

use proptest::{option, prelude::*};
use serde_json::Value;

use super::*;

fn identity(hostname: Option<&str>, keys: &[&str], uuid: Option<u128>) -> Identity {
    Identity {
        uuid: uuid.map(Uuid::from_u128),
        hostname: hostname.map(str::to_owned),
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
    }
}

fn user_data(text: &[u8]) -> Given {
    Given { user_data: Some(text.to_vec()), ..Given::default() }
}

fn id(given: Given, identity: &Identity) -> String {
    let seed = Seed::new(given, identity);
    let meta_data: Value = serde_json::from_slice(&seed.meta_data).unwrap();
    meta_data["instance-id"].as_str().unwrap().to_owned()
}

/// The files at the root of an image.
fn files(image: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let file_system = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
    let root = file_system.root_dir();
    let entries = root.iter().map(|entry| {
        let entry = entry.unwrap();
        let mut content = Vec::new();
        entry.to_file().read_to_end(&mut content).unwrap();
        (entry.file_name(), content)
    });
    entries.collect()
}

/// Runs a program that may be missing; in that case prints that, and returns `None`.
fn tool(command: &mut Command) -> Option<Vec<u8>> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match command.env("PATH", path).output() {
        Err(error) => {
            println!("skipped: {}: {error}", command.get_program().to_string_lossy());
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{command:?}: {output:?}");
            Some(output.stdout)
        }
    }
}

#[test]
fn a_machine_gets_its_name_and_keys() {
    let seed = Seed::new(Given::default(), &identity(Some("web1"), &["ssh-ed25519 AAAA \"me\""], None));
    let meta_data: Value = serde_json::from_slice(&seed.meta_data).unwrap();
    assert_eq!(meta_data["local-hostname"], "web1");
    assert_eq!(meta_data["public-keys"], json!(["ssh-ed25519 AAAA \"me\""]));
    assert_eq!(seed.user_data, NO_WISHES);
    assert!(seed.has_known_user_data());
    assert_eq!(seed.names().collect::<Vec<_>>(), ["user-data", "meta-data"]);

    let seed = Seed::new(user_data(b"#!/bin/sh\n"), &Identity::default());
    let meta_data: Value = serde_json::from_slice(&seed.meta_data).unwrap();
    assert_eq!(meta_data.as_object().unwrap().keys().collect::<Vec<_>>(), ["instance-id"]);
}

#[test]
fn given_files_are_stored_unchanged() {
    let given = Given {
        user_data: Some(b"#cloud-config\nhostname: x\n".to_vec()),
        meta_data: Some(b"instance-id: mine\n".to_vec()),
        network_config: Some(b"version: 2\n".to_vec()),
    };
    let files = files(Seed::new(given, &Identity::default()).image().unwrap());
    let expected = [
        ("meta-data", "instance-id: mine\n"),
        ("network-config", "version: 2\n"),
        ("user-data", "#cloud-config\nhostname: x\n"),
    ];
    assert_eq!(files, expected.map(|(name, content)| (name.to_owned(), content.into())).into());
}

#[test]
fn the_instance_id_changes_exactly_with_the_seeds_contents() {
    let all = || identity(Some("a"), &["k"], Some(1));
    let before = id(user_data(b"#!x"), &all());
    assert!(before.starts_with("nvmm-"), "{before}");
    assert_eq!(id(user_data(b"#!x"), &all()), before);
    let network = Given { network_config: Some(b"version: 2".to_vec()), ..user_data(b"#!x") };
    let others = [
        id(user_data(b"#!y"), &all()),
        id(Given::default(), &all()),
        id(network, &all()),
        id(user_data(b"#!x"), &identity(Some("b"), &["k"], Some(1))),
        id(user_data(b"#!x"), &identity(None, &["k"], Some(1))),
        id(user_data(b"#!x"), &identity(Some("a"), &["k", "l"], Some(1))),
        id(user_data(b"#!x"), &identity(Some("a"), &["k"], Some(2))),
        id(user_data(b"#!x"), &identity(Some("a"), &["k"], None)),
    ];
    let mut all: Vec<_> = others.into_iter().chain([before]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn user_data_that_cloud_init_ignores_is_known() {
    let known = |text: &[u8]| Seed::new(user_data(text), &Identity::default()).has_known_user_data();
    let mime = b"Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n";
    for text in [
        b"#cloud-config\nusers: []".as_slice(),
        b"#cloud-config-archive\n",
        b"\n #Cloud-Config\n",
        b"#!/bin/sh\n",
        b"#include\nhttps://example.org/x\n",
        b"## template: jinja\n#cloud-config\n",
        b"",
        b"\x1f\x8b\x08\x00",
        mime,
    ] {
        assert!(known(text), "{}", text.escape_ascii());
    }
    for text in [b"users: []\n".as_slice(), b"# cloud-config\n", b"echo hello\n", b"\xff\xfe"] {
        assert!(!known(text), "{}", text.escape_ascii());
    }
}

#[test]
fn no_message_has_what_the_files_say() {
    let seed = Seed::new(user_data(b"#cloud-config\npassword: secret\n"), &Identity::default());
    let shown = format!("{seed:?}");
    assert!(shown.starts_with("{\"user-data\": 31, \"meta-data\": "), "{shown}");
}

#[test]
fn other_programs_read_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed");
    let wishes: Vec<_> = b"#!/bin/sh\n".iter().chain([b'x'; 100_000].iter()).copied().collect();
    std::fs::write(&path, Seed::new(user_data(&wishes), &Identity::default()).image().unwrap()).unwrap();
    let image = |program: &str| {
        let mut command = Command::new(program);
        command.arg(&path);
        command
    };
    if let Some(said) = tool(Command::new("blkid").args(["-p", "-o", "export"]).arg(&path)) {
        let said = String::from_utf8(said).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert!(lines.contains(&"LABEL=cidata") && lines.contains(&"TYPE=vfat"), "{said}");
    }
    // It changes nothing; its status is nonzero if it would.
    tool(image("fsck.vfat").arg("-n"));
    let mtools = |program: &str, name: &str| {
        tool(Command::new(program).arg("-i").arg(&path).arg(format!("::{name}")).arg("-"))
    };
    if let Some(content) = mtools("mcopy", "user-data") {
        assert!(content == wishes, "{} bytes", content.len());
        let meta_data: Value = serde_json::from_slice(&mtools("mcopy", "meta-data").unwrap()).unwrap();
        assert!(meta_data["instance-id"].is_string());
    }
    qemu_reads_it(&path);
}

fn qemu_reads_it(path: &Path) {
    let said = tool(Command::new("qemu-img").args(["info", "--output=json", "-f", "raw"]).arg(path));
    if let Some(said) = said {
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["virtual-size"], std::fs::metadata(path).unwrap().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Long files fit, and read back unchanged.
    #[test]
    fn files_of_any_length_fit(lens in (0..3_000_000_usize, 0..70_000_usize, option::of(0..5000_usize)), byte: u8) {
        let (user, meta, network) = lens;
        let content = |len| vec![byte; len];
        let given = Given {
            user_data: Some(content(user)),
            meta_data: Some(content(meta)),
            network_config: network.map(content),
        };
        let image = Seed::new(given, &Identity::default()).image().unwrap();
        prop_assert_eq!(image.len() % 512, 0);
        let files = files(image);
        prop_assert_eq!(files["user-data"].len(), user);
        prop_assert_eq!(files["meta-data"].len(), meta);
        prop_assert_eq!(files.get("network-config").map(Vec::len), network);
        prop_assert!(files.values().flatten().all(|&read| read == byte));
    }
}

/// The longest files that the options accept.
#[test]
fn three_long_files_fit() {
    let long = || Some(vec![b'#'; 16 << 20]);
    let given = Given { user_data: long(), meta_data: long(), network_config: long() };
    let files = files(Seed::new(given, &Identity::default()).image().unwrap());
    assert!(files.values().all(|content| content.len() == 16 << 20));
}
