use std::fs;

use clap::Parser;

use super::*;

/// The algorithm's name and 32 bytes.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    cloud: CloudArgs,
}

fn parse_words(words: &[&str]) -> Result<Parsed, ConfigError> {
    parse(&Options::try_parse_from(["nvmm"].iter().chain(words)).unwrap().cloud, None, &[])
}

fn error_of(words: &[&str]) -> String {
    parse_words(words).unwrap_err().to_string()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn without_its_options_there_is_no_seed() {
    assert_eq!(parse_words(&[]).unwrap(), (None, Vec::new()));
}

#[test]
fn files_keys_and_names_become_one_seed() {
    let folder = Folder::new();
    let (user, key) = (folder.file("a,b", "#!/bin/sh\n"), folder.file("key.pub", KEY));
    let given = format!("user-data={}", user.replace(',', ",,"));
    let (config, read) =
        parse_words(&["--cloud-init", &given, "--ssh-key", &key, "--hostname", "web1.example.org"]).unwrap();
    let identity =
        Identity { uuid: None, hostname: Some("web1.example.org".to_owned()), keys: vec![KEY.to_owned()] };
    let given = Given { user_data: Some(b"#!/bin/sh\n".to_vec()), ..Given::default() };
    let user = PathBuf::from(user);
    let expected = CloudInitConfig {
        seed: Seed::new(given, &identity),
        user_data: Some(user.clone()),
        bus: DiskBus::Virtio,
        legacy: false,
    };
    assert_eq!(config, Some(expected));
    assert_eq!(read, [(CLOUD_INIT, user), (SSH_KEY, key.into())]);

    for words in [["--hostname", "a"], ["--cloud-init", &format!("network-config={}", folder.file("n", ""))]]
    {
        let (config, _) = parse_words(&words).unwrap();
        assert_eq!(config.unwrap().user_data, None);
    }
}

#[test]
fn meta_data_and_options_of_identity_exclude_each_other() {
    let folder = Folder::new();
    let meta = format!("meta-data={}", folder.file("meta", "instance-id: mine\n"));
    let key = folder.file("key.pub", KEY);
    assert!(parse_words(&["--cloud-init", &meta]).is_ok());
    for [option, value] in [["--hostname", "a"], ["--ssh-key", &key]] {
        let error = error_of(&["--cloud-init", &meta, option, value]);
        assert!(error.starts_with(&format!("{option} {value}: meta-data=FILE of --cloud-init ")), "{error}");
    }
}

#[test]
fn invalid_options_are_named_with_valid_ones() {
    let folder = Folder::new();
    let here = format!("user-data={}", folder.0.path().display());
    let cases = [
        (
            "seed.yaml",
            "'seed.yaml' means nothing here; give user-data=FILE, meta-data=FILE or network-config=FILE",
        ),
        ("", "'' means nothing here"),
        ("user-data", "'user-data' needs a value: user-data=FILE"),
        ("user-data=", "the path is missing; give user-data=FILE"),
        ("user-data=a,user-data=b", "'user-data' is there twice"),
        ("user-data=a,vendor-data=b", "'vendor-data' means nothing"),
        ("user-data=/no/such", "/no/such: No such file"),
        ("user-data=/dev/zero", "/dev/zero: it has more than 16 MiB"),
        (&here, "Is a directory"),
    ];
    for (given, expected) in cases {
        let error = error_of(&["--cloud-init", given]);
        assert!(error.starts_with("--cloud-init ") && error.contains(expected), "{given}: {error}");
    }
    let error = error_of(&["--ssh-key", "/no/such"]);
    assert!(error.starts_with("--ssh-key /no/such: No such file"), "{error}");
}

#[test]
fn host_names_are_those_of_the_internet() {
    let longest = ["a".repeat(63), "a".repeat(63), "a".repeat(63), "b".repeat(61)].join(".");
    for name in ["a", "web-1", "3com", "WEB.example.org", &longest] {
        assert!(parse_words(&["--hostname", name]).is_ok(), "{name}");
    }
    let too_long = format!("{longest}b");
    for name in ["", ".", "a.", "-a=", "a-", "a_b", "a b", "ä", "a\n", &"a".repeat(64), &too_long] {
        let error = error_of(&[&format!("--hostname={name}")]);
        assert!(error.contains("letters, digits and hyphens"), "{name}: {error}");
    }
}

#[test]
fn a_private_key_is_given_to_no_guest() {
    let folder = Folder::new();
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    for (name, content) in [("openssh", key), ("putty", "PuTTY-User-Key-File-3: ssh-ed25519\n")] {
        for option in ["user-data", "meta-data", "network-config"] {
            let error = error_of(&["--cloud-init", &format!("{option}={}", folder.file(name, content))]);
            assert!(error.contains("is a private key, which no guest needs"), "{error}");
        }
    }
    // A host's own key, which cloud-init installs, is treated like the others.
    let wishes =
        format!("#cloud-config\nssh_keys:\n  ed25519_private: |\n    {}", key.replace('\n', "\n    "));
    parse_words(&["--cloud-init", &format!("user-data={}", folder.file("wishes", &wishes))]).unwrap();
}

#[test]
fn keys_without_a_network_are_warned_of() {
    let said = |words: &str, is_reachable| {
        let words = ["nvmm"].into_iter().chain(words.split_whitespace());
        warning(&Options::try_parse_from(words).unwrap().cloud, is_reachable)
    };
    let expected = Some(NO_NETWORK);
    assert_eq!(said("--ssh-key k", false), expected);
    assert_eq!(said("--ssh-key k --hostname h", false), expected);
    assert_eq!(said("--ssh-key k", true), None);
    assert_eq!(said("--hostname h --cloud-init user-data=u", false), None);
}
