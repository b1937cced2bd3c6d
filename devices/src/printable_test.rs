use proptest::prelude::*;

use super::*;

#[test]
fn terminal_control_characters_are_escaped() {
    let shown = [
        (&b"plain \xc3\xa4\xe6\x97\xa5 \\ \"x\""[..], "plain ä日 \\ \"x\""),
        (b"\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        (b"a\r\nnvmm: forged\tx\0\x7f", "a\\r\\nnvmm: forged\\tx\\x00\\x7f"),
        // CSI as one character of C1, and as a byte of ISO 8859.
        (b"\xc2\x9b31m \x9b31m", "\\u{9b}31m \\x9b31m"),
        (
            "img.\u{202e}2wocq\u{2066}\u{2028}\u{feff}".as_bytes(),
            "img.\\u{202e}2wocq\\u{2066}\\u{2028}\\u{feff}",
        ),
    ];
    for (bytes, expected) in shown {
        assert_eq!(bytes.printable().to_string(), expected);
        assert_eq!(OsStr::from_bytes(bytes).printable().to_string(), expected);
        assert_eq!(Untrusted::from(bytes).to_string(), expected);
        assert_eq!(format!("{:?}", Untrusted::from(bytes)), format!("\"{}\"", expected.replace('"', "\\\"")));
    }
    assert_eq!(PrintableLines("one\n\x1btwo\r\n").to_string(), "one\n\\x1btwo\\r\n");
}

proptest! {
    #[test]
    fn any_bytes_are_one_line_that_moves_nothing(bytes: Vec<u8>, text: String) {
        prop_assert!(bytes.printable().to_string().chars().all(is_plain));
        prop_assert!(text.printable().to_string().chars().all(is_plain));
        prop_assert!(PrintableLines(&text).to_string().chars().all(|c| c == '\n' || is_plain(c)));
    }
}
