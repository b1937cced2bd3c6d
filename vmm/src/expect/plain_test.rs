use super::*;

fn plain(text: &[u8]) -> Vec<u8> {
    let mut plain = Plain::default();
    text.iter().flat_map(|&byte| plain.push(byte)).collect()
}

#[test]
fn escape_sequences_are_left_out() {
    let cases: [(&[u8], &[u8]); 10] = [
        (b"[\x1b[0;32m  OK  \x1b[0m] Started", b"[  OK  ] Started"),
        (b"\x1b[?2004h# \x1b[6n", b"# "),
        (b"\x1b]0;root@host: ~\x07# ", b"# "),
        (b"\x1b]3008;start=1\x1b\\# ", b"# "),
        (b"\x1bPq#0;1\x1b\\a", b"a"),
        (b"\x1b(B\x1b7\x1b=\x1b#8a", b"a"),
        // An 8-bit sequence would be a part of UTF-8.
        ("\u{9b}m".as_bytes(), "\u{9b}m".as_bytes()),
        (b"\x1b[1;\x1b[2ma", b"a"),
        (b"\x1b\x1b[ma", b"a"),
        (b"a\x08b\x00c\xff", b"a\x08b\x00c\xff"),
    ];
    for (output, text) in cases {
        assert_eq!(plain(output), text, "{output:?}");
    }
}

#[test]
fn a_broken_sequence_hides_no_more_than_a_line() {
    assert_eq!(plain(b"\x1b]0;no end\r\nlogin: "), b"\nlogin: ");
    assert_eq!(plain(b"\x1b[12\nlogin: "), b"\nlogin: ");
    assert_eq!(plain(b"\x1bX\x18login: "), b"login: ");
    assert_eq!(plain(b"\x1b\xe2\x82\xac"), "€".as_bytes());
}

#[test]
fn line_ends_become_one_byte() {
    assert_eq!(plain(b"a\r\nb\r\r\nc\nd"), b"a\nb\nc\nd");
    assert_eq!(plain(b"10%\r20%\r\n"), b"10%\r20%\n");
    assert_eq!(plain(b"a\r\x1b[m\nb"), b"a\nb");
}

#[test]
fn a_word_that_an_address_for_the_cursor_interrupts_stays_whole() {
    // SeaBIOS's serial console, on a tick of its timer.
    assert_eq!(plain(b"b\r\x1b[07;02Hoot: "), b"boot: ");
    assert_eq!(plain(b"Cop\x1b[04;31H\x1b[04;32Hyright"), b"Copyright");
    assert_eq!(plain(b"10%\r\x1b[K20%"), b"10%\r20%");
}
