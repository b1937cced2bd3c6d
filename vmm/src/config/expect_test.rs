use std::ffi::OsString;

use super::*;

fn parse(steps: &[Step]) -> Result<Option<Script>, String> {
    let given = ScriptArgs { steps: steps.to_vec(), timeout: 5 };
    script(&given).map_err(|error| error.to_string())
}

fn send(text: &str) -> Result<Vec<u8>, String> {
    let script = parse(&[Step::Send(text.into())])?;
    Ok(script.unwrap().first.concat())
}

#[test]
fn steps_belong_to_the_text_before_them() {
    let words = [
        Step::Send("first".into()),
        Step::Expect("a".into()),
        Step::Expect("re:b+".into()),
        Step::Send("x".into()),
        Step::Send("y".into()),
    ];
    let script = parse(&words).unwrap().unwrap();
    assert_eq!(script.first, [b"first\r"]);
    assert_eq!(script.timeout, Some(Duration::from_secs(5)));
    let expects: Vec<_> = script.expects.iter().map(|it| (&it.given[..], it.sends.concat())).collect();
    assert_eq!(expects, [(&b"a"[..], vec![]), (b"re:b+", b"x\ry\r".to_vec())]);
    assert!(parse(&[]).unwrap().is_none());
}

#[test]
fn no_time_is_for_ever() {
    let given = ScriptArgs { steps: vec![Step::Expect("a".into())], timeout: 0 };
    assert_eq!(script(&given).unwrap().unwrap().timeout, None);
}

#[test]
fn enter_follows_unless_the_text_has_its_own_end() {
    let cases: [(&str, &[u8]); 10] = [
        ("root", b"root\r"),
        ("", b"\r"),
        (r"root\n", b"root\n"),
        ("root\n", b"root\n"),
        (r"root\r", b"root\r"),
        (r"root\c", b"root"),
        (r"\c", b""),
        (r"\x03\c", b"\x03"),
        (r"a\tb\\c", b"a\tb\\c\r"),
        (r"\xFF\x0d", b"\xff\r"),
    ];
    for (text, typed) in cases {
        assert_eq!(send(text).unwrap(), typed, "{text}");
    }
}

#[test]
fn unknown_escapes_are_refused() {
    for text in [r"\", r"\q", r"\x", r"\x4", r"\x+1", r"\xg0", r"a\cb"] {
        assert_eq!(send(text).unwrap_err(), format!("--send {text}: {ESCAPES}"));
    }
}

#[test]
fn texts_can_be_any_bytes_and_expressions_say_them() {
    let bytes = OsString::from(OsStr::from_bytes(b"\xff"));
    assert!(parse(&[Step::Expect(bytes.clone())]).is_ok());
    let mut expression = OsString::from("re:");
    expression.push(bytes);
    let refused = parse(&[Step::Expect(expression)]).unwrap_err();
    assert_eq!(refused, r"--expect re:\xff: write a byte that is not UTF-8 as \xHH");
    assert!(parse(&[Step::Expect(r"re:\xff".into())]).is_ok());
}
