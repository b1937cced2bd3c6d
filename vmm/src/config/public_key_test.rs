use std::fs;

use tempfile::NamedTempFile;

use super::*;

/// The algorithm's name and 32 bytes.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn read_text(text: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    read(file.path()).map_err(|fault| format!("{fault:?}"))
}

#[test]
fn keys_are_read_as_ssh_has_them() {
    let named = format!("{KEY} me@here");
    let with_options = format!("from=\"10.0.0.0/8\",command=\"echo a b\" {KEY} robot");
    let text = format!("# who may log in\n{named}\n\n  {with_options}\r\n{KEY}");
    assert_eq!(read_text(text).unwrap(), [&*named, &*with_options, KEY]);
}

#[test]
fn invalid_public_keys_are_refused_with_a_remedy() {
    let private =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    let rsa = KEY.replace("ssh-ed25519", "ssh-rsa");
    let cut = &KEY[..KEY.len() - 3];
    let cases = [
        (private.to_owned(), "that is a private key, which no guest needs; give the public one, often "),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(), "a private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n".to_owned(), "ssh-keygen -i -f "),
        (format!("{KEY}\n{rsa}\n"), "line 2 is no public key"),
        (cut.to_owned(), "line 1 is no public key"),
        ("ssh-ed25519".to_owned(), "line 1 is no public key"),
        ("#cloud-config\nusers: []\n".to_owned(), "line 2 is no public key"),
        ("\n# none\n".to_owned(), "there is no key in it"),
        (String::new(), "there is no key in it"),
    ];
    for (text, expected) in cases {
        let error = read_text(&text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(read_text(b"\xff\xfe\x00").unwrap_err().contains("no text"));
    let missing = read(Path::new("/no/such/key")).unwrap_err();
    assert!(matches!(&missing, Fault::File(why) if why.contains("No such file")), "{missing:?}");
}
