use super::*;

/// Reads what `Writer` wrote by the format's own words: (name, mode, data) until the trailer.
fn parse(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut entries = Vec::new();
    let whole = archive.len();
    loop {
        assert_eq!((whole - archive.len()) % 4, 0, "headers are aligned");
        assert_eq!(&archive[..6], b"070701");
        let field = |n: usize| {
            let hex = std::str::from_utf8(&archive[6 + 8 * n..14 + 8 * n]).unwrap();
            u32::from_str_radix(hex, 16).unwrap()
        };
        let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
        let name = String::from_utf8(archive[110..110 + name_size - 1].to_vec()).unwrap();
        assert_eq!(archive[110 + name_size - 1], 0);
        let data = (110 + name_size).next_multiple_of(4);
        let next = (data + size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert_eq!(archive.len(), next);
            return entries;
        }
        entries.push((name, mode, archive[data..data + size].to_vec()));
        archive = &archive[next..];
    }
}

#[test]
fn entries_of_every_length_read_back() {
    let mut writer = Writer::new(Vec::new());
    writer.directory("lib").unwrap();
    for len in 0..9 {
        writer.file(&"n".repeat(len + 1), &vec![b'x'; len]).unwrap();
    }
    let entries = parse(&writer.finish().unwrap());
    assert_eq!(entries[0], ("lib".into(), 0o040_755, vec![]));
    for (len, entry) in entries[1..].iter().enumerate() {
        assert_eq!(*entry, ("n".repeat(len + 1), 0o100_755, vec![b'x'; len]));
    }
    assert_eq!(entries.len(), 10);
}
