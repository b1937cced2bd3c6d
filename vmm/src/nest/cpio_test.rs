use super::*;

/// Parses the output of `Writer` according to the format: (name, mode, data) until the trailer.
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
    writer.directory("lib", 0o755).unwrap();
    for len in 0..9 {
        writer.file("n".repeat(len + 1), 0o755, &vec![b'x'; len]).unwrap();
        // As many bytes as announced, and no more.
        writer.file_of("m".repeat(len + 1), 0o644, len as u64, io::repeat(b'y')).unwrap();
    }
    let entries = parse(&writer.finish().unwrap());
    assert_eq!(entries[0], ("lib".into(), 0o040_755, vec![]));
    for (len, pair) in entries[1..].chunks(2).enumerate() {
        assert_eq!(pair[0], ("n".repeat(len + 1), 0o100_755, vec![b'x'; len]));
        assert_eq!(pair[1], ("m".repeat(len + 1), 0o100_644, vec![b'y'; len]));
    }
    assert_eq!(entries.len(), 19);
}

#[test]
fn every_kind_of_file_has_its_mode() {
    let mut writer = Writer::new(Vec::new());
    writer.directory("tmp", 0o1777).unwrap();
    writer.file("setuid", 0o4711, b"x").unwrap();
    writer.link("lib64", Path::new("usr/lib64")).unwrap();
    writer.special("null", 0o020_666, rustix::fs::makedev(1, 3)).unwrap();
    let archive = writer.finish().unwrap();
    let entries = parse(&archive);
    let modes: Vec<_> = entries.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
    assert_eq!(modes, [("tmp", 0o041_777), ("setuid", 0o104_711), ("lib64", 0o120_777), ("null", 0o020_666)]);
    assert_eq!(entries[2].2, b"usr/lib64");
    // rdevmajor and rdevminor are fields 9 and 10.
    let header = archive.windows(6).enumerate().filter(|(_, word)| word == b"070701").nth(3).unwrap().0;
    assert_eq!(&archive[header + 6 + 8 * 9..header + 6 + 8 * 11], b"0000000100000003");
}
