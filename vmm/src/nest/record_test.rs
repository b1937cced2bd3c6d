use super::*;

fn facts() -> Facts {
    Facts {
        kernel: "6.1.0".into(),
        cpu: "EPYC".into(),
        nesting: "SVM NPT".into(),
        hypervisor: "KVMKVMKVM".into(),
        features: vec!["fpu".into(), "svm".into()],
    }
}

fn record(verdict: Verdict) -> Record {
    let up = LevelRecord {
        started: Some(1.5),
        up: Some(9.25),
        facts: Some(facts()),
        disk: Some(DiskRecord { bytes: 16 << 20, read_seconds: 0.5, write_seconds: 1.0, verified: true }),
        exits: BTreeMap::from([("io_exits".into(), 7)]),
        status: Status::Passed,
        ..LevelRecord::not_reached(0, "QEMU TCG")
    };
    Record {
        program: None,
        version: "0.1.0".into(),
        wanted: 1,
        host: "QEMU TCG".into(),
        seconds: 12.5,
        verdict,
        levels: vec![up, LevelRecord::not_reached(1, "nvmm on KVM")],
    }
}

#[test]
fn a_record_reads_back_from_json() {
    for verdict in [
        Verdict::Passed,
        Verdict::Failed {
            level: 1,
            kind: FailureKind::TimedOut,
            why: "hung".into(),
            console: vec!["oops".into()],
        },
        Verdict::Skipped { why: "no SVM".into() },
    ] {
        let record = record(verdict);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

#[test]
fn json_names_are_those_that_others_read() {
    let failed = Verdict::Failed {
        level: 2,
        kind: FailureKind::KvmDidNotLoad,
        why: "no module".into(),
        console: vec![],
    };
    let json = serde_json::to_value(record(failed)).unwrap();
    let verdict = serde_json::json!({
        "status": "failed", "level": 2, "kind": "kvm_did_not_load", "why": "no module", "console": []
    });
    assert_eq!(json["verdict"], verdict);
    assert_eq!(json["levels"][0]["status"], "passed");
    assert_eq!(json["levels"][1]["status"], "not_reached");
    assert_eq!(json["levels"][1]["up"], serde_json::Value::Null);
    assert_eq!(json["levels"][0]["facts"]["features"][1], "svm");
}
