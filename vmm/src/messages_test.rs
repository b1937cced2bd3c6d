use super::*;

/// Logs the same message this many times, and returns the lines that are printed.
fn lines(level: Level, times: usize) -> Vec<String> {
    let (limit, mut out) = (Limit::default(), Vec::new());
    for _ in 0..times {
        let mut record = Record::builder();
        record.level(level).line(Some(1));
        write(&mut out, &record.args(format_args!("a\u{1b}message")).build(), &limit).unwrap();
    }
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn no_message_floods_the_log() {
    for level in [Level::Error, Level::Warn, Level::Info] {
        let lines = lines(level, 100_000);
        // A slow machine may take seconds over them.
        assert!((1000..50_000).contains(&lines.len()), "{level}: {}", lines.len());
        assert!(lines.iter().all(|line| line.starts_with("nvmm: ")), "{level}");
    }
    assert_eq!(lines(Level::Debug, 100_000).len(), 100_000, "who asks for all gets all");
}

#[test]
fn text_from_a_guest_is_escaped_for_the_terminal() {
    assert_eq!(lines(Level::Warn, 1), [r"nvmm: a\x1bmessage"]);
}
