use super::*;

fn strip(parts: &[&[u8]]) -> Vec<u8> {
    let mut parser = Parser::default();
    let mut all = Vec::new();
    for part in parts {
        let mut bytes = part.to_vec();
        parser.strip(&mut bytes);
        all.extend(bytes);
    }
    all
}

const STREAM: &[u8] =
    b"\xff\xfd\x01ls\r\0\xff\xff\xff\xfa\x18\0xterm\xff\xff\xff\xf0\xff\xf1pwd\r\n\r\xff\xfb\0x\0";

#[test]
fn commands_are_taken_out() {
    assert_eq!(strip(&[STREAM]), b"ls\r\xffpwd\r\n\rx\0");
}

/// A packet may end at any byte.
#[test]
fn commands_are_taken_out_wherever_they_are_cut() {
    for at in 0..STREAM.len() {
        let (first, second) = STREAM.split_at(at);
        assert_eq!(strip(&[first, second]), strip(&[STREAM]), "cut at {at}");
    }
    let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
    assert_eq!(strip(&bytes), strip(&[STREAM]));
}
