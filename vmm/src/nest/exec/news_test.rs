use std::process::Command;

use super::*;

/// Splits `bytes` into reports and joins them again. Returns the total length of the reports.
fn through(bytes: &[u8]) -> usize {
    let (mut back, mut length) = (Vec::new(), 0);
    while back.len() < bytes.len() {
        let (piece, used) = Piece::pack(back.len() as u64, &bytes[back.len()..]).unwrap();
        let text = serde_json::to_string(&(u32::MAX, News::Output(piece.clone()))).unwrap();
        assert!(text.len() + 32 <= LINE_MAX && !text.contains('\n'), "{} bytes", text.len());
        let (at, part) = piece.unpack().unwrap();
        assert_eq!((at, part.len()), (back.len() as u64, used));
        back.extend(part);
        length += text.len();
    }
    assert!(back == bytes);
    length
}

/// Incompressible bytes.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn any_output_comes_through() {
    through(b"");
    through(b"x");
    through(&noise(1 << 17));
    through(&(0..=255).collect::<Vec<_>>());
    let lines: String = (0..20_000).map(|number| format!("ok {number} - a test of many\n")).collect();
    let length = through(lines.as_bytes());
    assert!(length < lines.len() / 5, "{length} bytes for {}", lines.len());
    // As many lines as there are pieces, whatever the number of output lines.
    through("@nest[2,\"done\"]\n".repeat(10_000).as_bytes());
}

#[test]
fn a_hostile_piece_stays_small() {
    let mut packed = Vec::new();
    let zeros = vec![0; 100 * PIECE_MAX];
    DeflateEncoder::new(&zeros[..], Compression::best()).read_to_end(&mut packed).unwrap();
    let (_, bytes) = Piece(7, STANDARD_NO_PAD.encode(packed)).unpack().unwrap();
    assert_eq!(bytes.len(), PIECE_MAX);
    for text in ["", "A", "no base64!", "////"] {
        assert!(Piece(0, text.to_owned()).unpack().is_none_or(|(_, bytes)| bytes.is_empty()), "{text}");
    }
}

#[test]
fn ends_are_distinguished() {
    let end = |script: &str| End::of(Command::new("sh").args(["-c", script]).status().unwrap());
    let ends = [end("exit 0"), end("exit 3"), end("exit 77"), end("kill -SEGV $$"), end("kill -9 $$")];
    let want = [
        "ended with status 0",
        "ended with status 3",
        "ended with status 77",
        "was ended by SIGSEGV",
        "was ended by SIGKILL",
    ];
    assert_eq!(ends.map(|end| end.to_string()), want);
    assert_eq!(ends.map(End::is_success), [true, false, false, false, false]);
    assert_eq!(ends.map(End::is_skip), [false, false, true, false, false]);
    // A level may report anything.
    for signal in [i32::MIN, -1, 0, 40, 127, 128, i32::MAX] {
        assert!(!End::Killed(signal).to_string().is_empty());
    }
    assert_eq!(signal_name(40), "signal 40");
}
