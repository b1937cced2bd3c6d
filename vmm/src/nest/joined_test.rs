use super::*;
use crate::nest::exec::news::{News, Piece};

const MESSAGE: &str = "[   12.345678] hrtimer: interrupt took 4000000 ns";
const OTHER: &str = "[   12.400000] clocksource: marked unstable";

fn report() -> Line {
    Line { level: 2, said: Said::Program(News::Output(Piece::pack(7, b"[   12.3] hello").unwrap().0)) }
}

fn text(text: &str) -> Line {
    Line { level: 1, said: Said::Text(text.to_owned()) }
}

/// Everything that is read from these lines of level 1's console.
fn read(lines: &[&str]) -> Vec<Line> {
    let mut joined = Joined::new(1, 2);
    let mut read: Vec<_> =
        lines.iter().flat_map(|line| joined.read(format!("{line}\r").as_bytes())).collect();
    read.extend(joined.end());
    read
}

#[test]
fn a_message_in_the_midst_of_a_report_does_not_break_it() {
    let whole = report().to_string();
    for at in 1..whole.len() {
        let (begin, rest) = whole.split_at(at);
        // A report that has not begun doesn't count.
        if begin.len() < "@nest".len() {
            continue;
        }
        assert_eq!(read(&[&format!("{begin}{MESSAGE}"), rest]), [text(MESSAGE), report()], "at {at}");
        let lines = [&format!("{begin}{MESSAGE}"), OTHER, rest];
        assert_eq!(read(&lines), [text(MESSAGE), text(OTHER), report()], "at {at}");
    }
}

#[test]
fn several_messages_break_a_report() {
    let whole = report().to_string();
    let (begin, rest) = whole.split_at(12);
    let (middle, end) = rest.split_at(9);
    let lines = [&format!("{begin}{MESSAGE}"), &format!("{middle}{OTHER}"), end];
    assert_eq!(read(&lines), [text(MESSAGE), text(OTHER), report()]);
}

#[test]
fn a_message_behind_a_report_or_without_one_is_left_as_it_is() {
    let whole = report().to_string();
    assert_eq!(read(&[&whole, MESSAGE, &whole]), [report(), text(MESSAGE), report()]);
    let prompt = format!("login: {MESSAGE}");
    assert_eq!(read(&[&prompt, "root"]), [text(&prompt), text("root")]);
    // Other texts are not times.
    for other in ["@nest[2,\"x\"] [  12.5] a", "@nest[.123456] a", "@nest[1.1234567] a", "@nest[1.123456]"] {
        assert_eq!(read(&[other, "b"]), [text(other), text("b")]);
    }
}

#[test]
fn a_part_whose_rest_never_comes_is_text() {
    let whole = report().to_string();
    let begin = &whole[..20];
    let broken = format!("{begin}{MESSAGE}");
    assert_eq!(read(&[&broken]), [text(MESSAGE), text(begin)]);
    assert_eq!(read(&[&broken, "login: "]), [text(MESSAGE), text(begin), text("login: ")]);
    assert_eq!(read(&[&broken, &whole]), [text(MESSAGE), text(begin), report()]);
}

#[test]
fn no_more_is_kept_than_a_line_has() {
    let broken = format!("@nest{}{MESSAGE}", "a".repeat(LINE_MAX / 2));
    let mut joined = Joined::new(1, 2);
    for _ in 0..100 {
        joined.read(broken.as_bytes());
        assert!(joined.part.len() <= LINE_MAX);
    }
}
