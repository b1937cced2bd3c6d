use super::*;

fn parsed(bytes: &[u8]) -> Result<Option<(Message, usize)>, String> {
    Message::parse(bytes).map_err(|error| error.to_string())
}

/// Each kind of message, with its bytes.
fn messages() -> Vec<(Vec<u8>, Message)> {
    let format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    let size = |screens: u8| {
        let screens_bytes = vec![7; 16 * usize::from(screens)];
        [&[251, 0, 4, 0, 3, 0, screens, 0][..], &screens_bytes].concat()
    };
    vec![
        (
            [&[0, 0, 0, 0][..], &format].concat(),
            Message::SetPixelFormat(PixelFormat::parse(&format).unwrap()),
        ),
        (vec![2, 0, 0, 0], Message::SetEncodings(Vec::new())),
        (vec![2, 0, 0, 2, 0, 0, 0, 16, 0xff, 0xff, 0xff, 0x21], Message::SetEncodings(vec![16, -223])),
        (
            vec![3, 1, 0, 1, 0, 2, 1, 3, 0, 4],
            Message::UpdateRequest { incremental: true, area: Rect { x: 1, y: 2, width: 259, height: 4 } },
        ),
        (vec![4, 1, 9, 9, 0, 0, 0xff, 0x0d], Message::Key { pressed: true, keysym: 0xff0d }),
        (vec![5, 3, 1, 0, 0, 2], Message::Pointer { buttons: 3, x: 256, y: 2 }),
        (vec![6, 0, 0, 0, 0, 0, 1, 0], Message::Text(256)),
        (size(0), Message::SetDesktopSize),
        (size(2), Message::SetDesktopSize),
        (
            vec![255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e],
            Message::ExtendedKey { pressed: true, code: 0x1e },
        ),
    ]
}

#[test]
fn each_message_is_understood_once_its_last_byte_has_come() {
    for (bytes, message) in messages() {
        for len in 0..bytes.len() {
            assert_eq!(parsed(&bytes[..len]), Ok(None), "{message:?}: {len}");
        }
        let more = [&bytes[..], &[0xaa; 30]].concat();
        assert_eq!(parsed(&more), Ok(Some((message, bytes.len()))));
    }
}

#[test]
fn rubbish_and_too_much_are_refused_at_their_first_bytes() {
    for (bytes, why) in [
        (&[1][..], "it sent a message of the unknown type 1"),
        (b"GET / HTTP/1.1", "it sent a message of the unknown type 71"),
        (&[255, 1], "it sent QEMU's message of the unknown type 1"),
        (&[2, 0, 4, 1], "it listed 1025 encodings, of which 1024 would be enough"),
        (&[6, 0, 0, 0, 0, 16, 0, 1], "it sent 1048577 bytes of clipboard, and the most are 1048576"),
        (&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe], "it sent 4294967294 bytes of clipboard"),
    ] {
        let error = parsed(bytes).unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
}
