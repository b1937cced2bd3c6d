use super::*;

#[test]
fn a_terminal_has_one_line_a_level() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut screen = Screen::new(start, 40, SIGNS);
    assert_eq!(
        screen.take(Event::Level(0, "starting".into()), start),
        "\r\x1b[K⠙    0.0 s  level 0: starting"
    );
    assert_eq!(screen.draw(after(1)), "\r\x1b[K⠹    1.0 s  level 0: starting");
    let up = screen.take(Event::Level(0, "up".into()), after(2));
    assert_eq!(up, "\r\x1b[K⠸    2.0 s  level 0: up");
    // The old line stays, and the next one has its own seconds.
    let next = screen.take(Event::Level(1, "starting".into()), after(3));
    assert_eq!(next, "\r\x1b[K·    3.0 s  level 0: up\n\r\x1b[K⠼    0.0 s  level 1: starting");
    assert_eq!(screen.settle(after(5)), "\r\x1b[K·    2.0 s  level 1: starting\n");
    assert_eq!(screen.draw(after(6)), "");
}

#[test]
fn long_lines_do_not_wrap_and_text_stands_above() {
    let start = Instant::now();
    let mut screen = Screen::new(start, 24, SIGNS);
    let line = screen.take(Event::Level(0, "a long tale".into()), start);
    assert_eq!(line.trim_start_matches("\r\x1b[K").chars().count(), 23);
    let text = screen.take(Event::Text("0 | panic".into()), start);
    assert!(text.starts_with("\r\x1b[K    0.0 s  0 | panic\n\r\x1b[K"), "{text:?}");
}

#[test]
fn elsewhere_each_event_is_a_line() {
    let event = Event::Level(2, "KVM loaded".into());
    assert_eq!(plain(&event, Duration::from_millis(12_340)), "   12.3 s  level 2: KVM loaded");
}

#[test]
fn a_programs_output_is_not_changed() {
    let start = Instant::now();
    let mut screen = Screen::new(start, 40, SIGNS);
    screen.take(Event::Level(1, "runs test".into()), start);
    // Its line stays, and nothing is drawn over the output.
    assert_eq!(screen.settle(start), "\r\x1b[K·    0.0 s  level 1: runs test\n");
    screen.begun = Event::Output(b"no end".to_vec()).begins_line();
    assert_eq!(screen.draw(start), "");
    let next = screen.take(Event::Level(1, "test ended".into()), start);
    assert!(next.starts_with("\n\r\x1b[K"), "{next:?}");
    assert!(!Event::Output(b"end\n".to_vec()).begins_line());
    assert!(!screen.take(Event::Level(1, "off".into()), start).contains('\n'));
}

#[test]
fn a_terminal_without_utf_8_has_ascii() {
    let start = Instant::now();
    let mut screen = Screen::new(start, 40, ASCII_SIGNS);
    let lines = screen.take(Event::Level(0, "starting".into()), start) + &screen.settle(start);
    assert_eq!(lines, "\r\x1b[K/    0.0 s  level 0: starting\r\x1b[K.    0.0 s  level 0: starting\n");
    assert!(lines.is_ascii());
}
