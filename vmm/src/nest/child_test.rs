use std::time::Duration;

use super::*;

fn shell(script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Child::spawn(command).unwrap()
}

fn line(text: &str) -> Output {
    Output::Line(text.into())
}

#[test]
fn lines_of_both_streams_come_whole_and_then_the_end() {
    let mut child = shell("echo one; echo two >&2; printf three; exit 7");
    for text in ["one", "two", "three"] {
        assert_eq!(child.line(None).unwrap(), line(text));
    }
    assert_eq!(child.line(None).unwrap(), Output::End);
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_line_without_end_is_cut() {
    let mut child = shell("head -c 100000 /dev/zero");
    let mut total = 0;
    while let Output::Line(line) = child.line(None).unwrap() {
        assert!(line.len() < LINE_MAX + 512);
        total += line.len();
    }
    assert_eq!(total, 100_000);
}

#[test]
fn the_deadline_ends_waiting_and_dropping_ends_the_child() {
    let mut child = shell("echo $$; exec sleep 1000");
    let Output::Line(pid) = child.line(None).unwrap() else { panic!("its pid") };
    let deadline = Instant::now() + Duration::from_millis(50);
    assert_eq!(child.line(Some(deadline)).unwrap(), Output::Timeout);
    drop(child);
    let stat = format!("/proc/{}", String::from_utf8(pid).unwrap());
    assert!(!std::path::Path::new(&stat).exists());
}
