use super::*;
use crate::nest::exec::news::{End, Piece};

fn facts() -> Facts {
    Facts {
        kernel: "6.1.0-56-cloud-amd64".into(),
        cpu: "AMD EPYC Processor".into(),
        nesting: "SVM NPT".into(),
        hypervisor: "KVMKVMKVM".into(),
        features: vec!["fpu".into()],
    }
}

#[test]
fn every_report_survives_the_console_of_a_lower_level() {
    for said in [
        Said::Start,
        Said::Entered,
        Said::Kvm,
        Said::Check(CheckRecord { kvm: Some(true), nested: None, warnings: vec!["kernel-old".into()] }),
        Said::Exits([("io_exits".into(), 9)].into()),
        Said::Up(facts()),
        Said::Disk { read: 1, wrote: u32::MAX, read_ms: 2, write_ms: 3 },
        Said::Program(News::Started),
        Said::Program(News::Output(Piece::pack(7, b"a\nb").unwrap().0)),
        Said::Program(News::Ended(End::Killed(11))),
        Said::Done,
        Said::Fail(FailureKind::KvmDidNotLoad, "a \"quoted\"\nreason".into()),
        Said::Off,
        Said::Text("[    1.0] Kernel panic | not syncing".into()),
    ] {
        // Only level 0 reports that it is off.
        let level = if said == Said::Off { 0 } else { 3 };
        let line = Line { level, said };
        let wire = line.to_string();
        assert!(!wire.contains('\n'), "{wire}");
        let own = if line.said == Said::Off { 0 } else { 1 };
        assert_eq!(Line::parse(wire.as_bytes(), own, 3), line);
        assert_eq!(Line::parse(format!("{wire}\r").as_bytes(), own, 3), line);
    }
}

#[test]
fn a_kernel_message_before_a_report_does_not_hide_it() {
    let line = Line { level: 2, said: Said::Done };
    assert_eq!(Line::parse(format!("[    0.1] no end of line{line}").as_bytes(), 1, 2), line);
}

#[test]
fn lines_other_than_reports_are_text_of_their_console() {
    for text in ["", "login: ", "@nest[2,{\"disk\":[1", "@nest[2,\"nothing\"]", "@x|y", "@|"] {
        assert_eq!(Line::parse(text.as_bytes(), 4, 8), Line { level: 4, said: Said::Text(text.into()) });
    }
    let Said::Text(text) = Line::parse(b"\xff\xfe", 1, 2).said else { panic!("bytes are text") };
    assert_eq!(text, "\u{fffd}\u{fffd}");
}

/// The console of level 2 of three levels.
fn of_level_2(text: &str) -> Line {
    Line::parse(text.as_bytes(), 2, 3)
}

#[test]
fn a_level_speaks_for_itself_and_those_above_it_alone() {
    for text in [
        r#"@nest[4294967295,"start"]"#,
        r#"@nest[4,"start"]"#,
        r#"@nest[1,"kvm"]"#,
        r#"@nest[1,{"fail":["disk","no"]}]"#,
        r#"@nest[-1,"start"]"#,
        r#"@nest[1e300,"start"]"#,
        r#"@nest[3,{"disk":{"read":NaN,"wrote":1}}]"#,
        r#"@nest[3,{"exits":{"io_exits":-1}}]"#,
        r#"@nest[2,{"idle":"x"}]"#,
        "@1|text of a level below",
        "@4|text of none",
        "@99999999999999999999|text of none",
    ] {
        assert_eq!(of_level_2(text), Line { level: 2, said: Said::Text(text.into()) });
    }
    assert_eq!(of_level_2(r#"@nest[3,"start"]"#), Line { level: 3, said: Said::Start });
    assert_eq!(of_level_2("@2|text"), Line { level: 2, said: Said::Text("text".into()) });
    assert_eq!(of_level_2("@3|text"), Line { level: 3, said: Said::Text("text".into()) });
}

#[test]
fn a_level_can_not_make_the_reports_of_the_level_below() {
    for said in ["start", "entered", "done", "off"] {
        let text = format!(r#"@nest[2,"{said}"]"#);
        assert_eq!(of_level_2(&text), Line { level: 2, said: Said::Text(text) });
    }
    let off = |level| Line::parse(format!(r#"@nest[{level},"off"]"#).as_bytes(), 0, 3).said == Said::Off;
    assert!(off(0) && !off(1));
}

#[test]
fn the_last_level_alone_has_the_user_s_program() {
    let wire = |level| Line { level, said: Said::Program(News::Ended(End::Exited(0))) }.to_string();
    let is_text = |line: Line| matches!(line.said, Said::Text(_));
    assert!(is_text(of_level_2(&wire(2))) && is_text(of_level_2(&wire(1))));
    assert!(!is_text(of_level_2(&wire(3))));
    let ready = |level| Line { level, said: Said::Ready }.to_string();
    assert!(is_text(of_level_2(&ready(2))) && !is_text(of_level_2(&ready(3))));
}

#[test]
fn text_that_is_passed_on_is_no_report() {
    // The text on level 2's console, and as level 1 passes it on.
    let text = r#"x@nest[2,"done"]"#;
    let heard = of_level_2(text);
    assert_eq!(heard, Line { level: 2, said: Said::Text(text.into()) });
    assert_eq!(Line::parse(heard.to_string().as_bytes(), 1, 3), heard);
}
