use std::ffi::OsString;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// Runs a script as the last level would, without the steps that need PID 1; returns the reports.
fn run(script: &str) -> (Vec<News>, ExitStatus) {
    let (said, news) = mpsc::channel();
    let arguments = ["-c", script, "test", "-a", "b c"].map(OsString::from).to_vec();
    // An absolute path is not changed.
    let program = Program { file: "/bin/sh".into(), arguments, ..Program::default() };
    let Running { mut child, output } =
        Running::start(&program, 3, move |news| drop(said.send(news))).unwrap();
    let status = child.wait().unwrap();
    output.join().unwrap().unwrap();
    (news.iter().collect(), status)
}

fn printed(news: &[News]) -> Vec<u8> {
    let mut printed = Vec::new();
    for piece in news {
        if let News::Output(piece) = piece {
            let (at, bytes) = piece.unpack().unwrap();
            assert_eq!(at, printed.len() as u64);
            printed.extend(bytes);
        }
    }
    printed
}

#[test]
fn a_program_has_its_own_world() {
    let (news, status) = run(r#"echo "$*|$NVMM_LEVEL|$PATH|$HOME|$PWD|$USER"; cat; echo error >&2; exit 9"#);
    assert_eq!(news[0], News::Started);
    let path = ENVIRONMENT[1].1;
    assert_eq!(String::from_utf8(printed(&news)).unwrap(), format!("-a b c|3|{path}|/|/|\nerror\n"));
    assert_eq!(End::of(status), End::Exited(9));
}

#[test]
fn both_outputs_come_in_their_order() {
    let (news, _) = run("i=0; while [ $i -lt 200 ]; do echo $i; echo $i >&2; i=$((i + 1)); done");
    let want: String = (0..200).map(|number| format!("{number}\n{number}\n")).collect();
    assert_eq!(String::from_utf8(printed(&news)).unwrap(), want);
}

#[test]
fn ten_mebibytes_come_through() {
    let (news, status) = run("head -c 10485760 /dev/zero; printf 'no end'");
    let bytes = printed(&news);
    assert_eq!(bytes.len(), (10 << 20) + 6);
    assert!(bytes.ends_with(b"\0no end") && status.success());
    let (news, _) = run("head -c 300000 /dev/urandom");
    assert_eq!(printed(&news).len(), 300_000);
}

#[test]
fn a_program_that_can_not_be_started_is_an_error() {
    let program = Program { file: "/no/such/program".into(), ..Program::default() };
    let error = Running::start(&program, 1, |_| {}).unwrap_err();
    assert!(format!("{error:#}").contains("No such file"), "{error:#}");
}

#[test]
fn output_is_passed_on_while_the_program_runs() {
    let (said, news) = mpsc::channel();
    let program = Program {
        file: "/bin/sh".into(),
        arguments: vec!["-c".into(), "echo early; exec sleep 1000".into()],
        ..Program::default()
    };
    let Running { mut child, output } =
        Running::start(&program, 1, move |news| drop(said.send(news))).unwrap();
    let early = news.iter().find(|news| *news != News::Started).unwrap();
    assert_eq!(printed(&[early]), b"early\n");
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    output.join().unwrap().unwrap();
    assert_eq!(End::of(status), End::Killed(9));
    assert_eq!(news.recv_timeout(Duration::from_secs(60)).ok(), None);
}
