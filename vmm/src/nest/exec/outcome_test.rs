use super::*;
use crate::nest::exec::news::Piece;

fn outcome() -> Outcome {
    let program = Program { file: "mytest".into(), arguments: vec!["-v".into()], ..Program::default() };
    Outcome::new(&program)
}

fn printed(at: u64, text: &[u8]) -> News {
    let (piece, packed) = Piece::pack(at, text).unwrap();
    assert_eq!(packed, text.len());
    News::Output(piece)
}

#[test]
fn a_program_s_life_is_reported() {
    let mut outcome = outcome();
    assert_eq!(outcome.sentence(), "it is not known how mytest ended");
    assert_eq!(outcome.hear(&News::Started, 1.5).doing.unwrap(), "runs mytest");
    let told = outcome.hear(&printed(0, b"one\r\ntwo\n\nth"), 2.0);
    assert_eq!(
        told,
        Told {
            doing: None,
            bytes: b"one\r\ntwo\n\nth".to_vec(),
            lines: vec!["one".into(), "two".into(), "".into()]
        }
    );
    assert_eq!(outcome.hear(&printed(12, b"ree \xff"), 2.5).lines, Vec::<String>::new());
    let told = outcome.hear(&News::Ended(End::Exited(3)), 3.0);
    assert_eq!(
        (told.doing.unwrap().as_str(), told.lines),
        ("mytest ended with status 3", vec!["three \u{fffd}".into()])
    );
    // Only the first end counts.
    outcome.hear(&News::Ended(End::Exited(0)), 4.0);
    outcome.hear(&News::Started, 5.0);
    assert_eq!(outcome.end(), Some(End::Exited(3)));
    let record = outcome.record();
    assert_eq!((record.name.as_str(), record.arguments), ("mytest", vec!["-v".to_owned()]));
    assert_eq!((record.started, record.ended), (Some(1.5), Some(3.0)));
    assert_eq!((record.status, record.signal, record.bytes, record.lost), (Some(3), None, 17, 0));
    assert_eq!(record.output, "one\r\ntwo\n\nthree \u{fffd}");
}

#[test]
fn a_signal_has_its_name() {
    let mut outcome = outcome();
    outcome.hear(&News::Ended(End::Killed(11)), 1.0);
    let record = outcome.record();
    assert_eq!((record.status, record.signal.as_deref()), (None, Some("SIGSEGV")));
}

#[test]
fn missing_output_is_counted() {
    let mut outcome = outcome();
    outcome.hear(&printed(0, b"begin "), 1.0);
    let told = outcome.hear(&printed(106, b"end"), 1.0);
    assert_eq!(told.doing.unwrap(), "100 bytes of the output of mytest were lost");
    assert_eq!(outcome.hear(&printed(109, b"."), 1.0).doing, None);
    // Reported twice, or impossible: nothing overflows.
    outcome.hear(&printed(0, b"again"), 1.0);
    outcome.hear(&printed(u64::MAX, b"x"), 1.0);
    outcome.hear(&printed(u64::MAX, b"y"), 1.0);
    let record = outcome.record();
    assert_eq!(record.bytes, u64::MAX);
    assert_eq!(record.output, "begin end.againxy");
}

#[test]
fn the_end_of_a_long_output_is_kept() {
    let mut outcome = outcome();
    let mut at = 0;
    let line = b"0123456789abcdef".repeat(1024);
    for _ in 0..10 << 6 {
        let told = outcome.hear(&printed(at, &line), 1.0);
        assert_eq!(told.bytes, line);
        assert!(told.lines.is_empty());
        at += line.len() as u64;
        assert!(outcome.output.len() <= 2 * KEPT + line.len() && outcome.line.len() <= LINE);
    }
    outcome.hear(&printed(at, b"\nlast"), 1.0);
    let lines = outcome.hear(&News::Ended(End::Exited(0)), 1.0).lines;
    assert_eq!(lines, ["last"]);
    let record = outcome.record();
    assert_eq!((record.bytes, record.output.len()), ((10 << 20) + 5, KEPT));
    assert!(record.output.ends_with("abcdef\nlast"));
}
