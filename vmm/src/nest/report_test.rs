use super::*;

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
        Said::Done,
        Said::Fail(Kind::KvmDidNotLoad, "a \"quoted\"\nreason".into()),
        Said::Off,
        Said::Text("[    1.0] Kernel panic | not syncing".into()),
    ] {
        let line = Line { level: 3, said };
        let wire = line.to_string();
        assert!(!wire.contains('\n'), "{wire}");
        assert_eq!(Line::parse(wire.as_bytes(), 1), line);
        assert_eq!(Line::parse(format!("{wire}\r").as_bytes(), 1), line);
    }
}

#[test]
fn a_kernel_message_before_a_report_does_not_hide_it() {
    let line = Line { level: 2, said: Said::Done };
    assert_eq!(Line::parse(format!("[    0.1] no end of line{line}").as_bytes(), 1), line);
}

#[test]
fn what_is_no_report_is_text_of_the_console_it_came_from() {
    for text in ["", "login: ", "@nest[2,{\"disk\":[1", "@nest[2,\"nothing\"]", "@x|y", "@|"] {
        assert_eq!(Line::parse(text.as_bytes(), 4), Line { level: 4, said: Said::Text(text.into()) });
    }
    let Said::Text(text) = Line::parse(b"\xff\xfe", 1).said else { panic!("bytes are text") };
    assert_eq!(text, "\u{fffd}\u{fffd}");
}
