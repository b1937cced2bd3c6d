use std::fs;

use devices::threads::{self, Role};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

#[test]
fn the_response_is_des_with_the_bits_of_the_key_reversed() {
    // FIPS 81's example has the key 0123456789ABCDEF, and "Now is the time for all " as the text.
    let password = Password([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].map(u8::reverse_bits));
    let response =
        [0x3f, 0xa4, 0x0e, 0x8a, 0x98, 0x4d, 0x48, 0x15, 0x6a, 0x27, 0x17, 0x87, 0xab, 0x88, 0x83, 0xf9];
    assert_eq!(password.respond(b"Now is the time "), response);
    assert!(password.is_proven(b"Now is the time ", &response));
    assert!(!Password::new(b"secret").is_proven(b"Now is the time ", &response));
    for at in 0..16 {
        let mut other = response;
        other[at] ^= 0x80;
        assert!(!password.is_proven(b"Now is the time ", &other));
    }
}

#[test]
fn the_first_line_of_a_file_is_the_password() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("password");
    for (text, password) in [
        ("secret\nmore\n", "secret"),
        ("secret\r\n", "secret"),
        ("secret", "secret"),
        ("123456789\n", "12345678"),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(Password::read(&path).unwrap(), Password::new(password.as_bytes()), "{text:?}");
    }
    for text in ["", "\n", "\r\n", "\nsecret\n"] {
        fs::write(&path, text).unwrap();
        let error = Password::read(&path).unwrap_err().to_string();
        assert_eq!(error, "its first line is empty; write the password there", "{text:?}");
    }
    assert!(Password::read(folder.path()).is_err());
    assert_eq!(format!("{:?}", Password::new(b"secret")), "Password");
}

#[test]
fn a_pipe_is_opened_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let writer = {
        let path = path.clone();
        threads::spawn(&Role::Input, move || fs::write(path, "secret\n").unwrap()).unwrap()
    };
    assert_eq!(Password::read(&path).unwrap(), Password::new(b"secret"));
    writer.join().unwrap();
}

#[test]
fn no_challenge_comes_twice() {
    assert_ne!(challenge().unwrap(), challenge().unwrap());
}
