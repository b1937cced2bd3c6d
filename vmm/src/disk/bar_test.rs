use super::*;

const GIB: u64 = 1 << 30;

#[test]
fn a_terminal_has_one_line() {
    let start = Instant::now();
    let after = |millis| start + Duration::from_millis(millis);
    let mut bar = Bar::new(Shown::Line(80), GIB, start);
    assert_eq!(bar.draw(0, 0, start).unwrap(), "\r\x1b[K  0 % [........................]");
    // Not drawn as often as possible.
    assert_eq!(bar.draw(1 << 20, 1 << 20, after(50)), None);
    assert_eq!(
        bar.draw(GIB / 2, GIB / 4, after(2000)).unwrap(),
        "\r\x1b[K 50 % [############............] 128 MiB/s, 2 s left"
    );
    assert_eq!(
        bar.draw(GIB / 64, GIB / 64, after(4000)).unwrap(),
        "\r\x1b[K  1 % [........................] 4 MiB/s, 4 min 12 s left"
    );
    assert_eq!(
        bar.draw(GIB, GIB / 4, after(8000)).unwrap(),
        "\r\x1b[K100 % [########################] 32 MiB/s, 0 s left"
    );
    assert!(bar.draw(GIB, GIB / 4, after(8001)).is_some(), "the end is always shown");
    let mut narrow = Bar::new(Shown::Line(20), GIB, start);
    let line = narrow.draw(GIB, GIB, after(1000)).unwrap();
    assert_eq!(line.trim_start_matches("\r\x1b[K").chars().count(), 19);
    (bar.drawn, narrow.drawn) = (None, None);
}

#[test]
fn elsewhere_a_tenth_is_a_line() {
    let start = Instant::now();
    let mut bar = Bar::new(Shown::Tenths, 1000, start);
    let said: Vec<_> = [0, 99, 100, 150, 199, 512, 1000].map(|done| bar.draw(done, done, start)).into();
    let line = |text: &str| Some(text.to_owned());
    assert_eq!(said, [None, None, line(" 10 %\n"), None, None, line(" 50 %\n"), line("100 %\n")]);
    assert_eq!(Bar::new(Shown::Not, 1000, start).draw(1000, 1000, start), None);
}

#[test]
fn no_number_is_too_large() {
    let start = Instant::now();
    let mut bar = Bar::new(Shown::Line(80), u64::MAX, start);
    assert!(bar.draw(u64::MAX, u64::MAX, start + Duration::from_millis(1)).unwrap().contains("100 %"));
    assert!(Bar::new(Shown::Tenths, 0, start).draw(0, 0, start).is_none());
    bar.drawn = None;
}
