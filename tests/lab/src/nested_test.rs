use super::*;

#[test]
fn scenarios_tell_their_outcome_in_json() {
    let passed = scenario(r#"{"failure":null,"name":"flags","seconds":1.5}"#).unwrap();
    assert_eq!(passed, ("flags".into(), Duration::from_millis(1500), Outcome::Passed));
    let failed = scenario(r#"{"failure":"lost: vmx","name":"flags","seconds":2}"#).unwrap();
    assert_eq!(failed.2, Outcome::Failed("lost: vmx".into()));
    assert_eq!(scenario("text"), None);
}

#[test]
fn a_broken_level_must_be_reported_with_its_status() {
    let [first, ..] = &BROKEN;
    let said = format!("...\n{}: no /dev/kvm\n", first.says);
    assert!(matches!(first.judge(Some(first.status), &said), Outcome::Passed));
    assert!(matches!(first.judge(Some(0), &said), Outcome::Failed(_)));
    assert!(matches!(first.judge(Some(first.status), "level 0: timed out"), Outcome::Failed(_)));
}

#[test]
fn an_explanation_has_both_kinds_of_exits_at_every_level_below_the_last() {
    let cost = |work: &str, exits: f64| serde_json::json!({ "work": work, "measured": 500, "exits": exits });
    let judge = |host: [f64; 2], first: [f64; 2]| {
        let levels = [host, first].map(
            |[cpuid, ports]| serde_json::json!({ "costs": [cost("cpuid", cpuid), cost("ports", ports)] }),
        );
        explained(serde_json::json!({ "levels": levels }).to_string().as_bytes(), 2)
    };
    assert_eq!(judge([6.7, 9.2], [1.1, 1.1]), Outcome::Passed);
    // An exit of level 2 without an entry on the host, and one without any cost.
    assert!(matches!(judge([1.0, 9.2], [1.1, 1.1]), Outcome::Failed(_)));
    assert!(matches!(judge([6.7, 9.2], [1.1, 0.0]), Outcome::Failed(_)));
    for json in ["", "{}", r#"{"levels":[{"costs":[]},{}]}"#] {
        assert!(matches!(explained(json.as_bytes(), 2), Outcome::Failed(_)), "{json}");
    }
}

#[test]
fn only_the_check_may_ask_for_the_wrong_rate() {
    let [warning, start] = [format!("0 | [ 1.6] {WRONG_RATE}\n"), "level 1: starting\n".to_owned()];
    assert_eq!(rated(&format!("{warning}{start}1 | nvmm: nesting: svm\n")), Outcome::Passed);
    for said in [format!("{warning}{start}{warning}"), start.clone(), warning.clone(), String::new()] {
        assert!(matches!(rated(&said), Outcome::Failed(_)), "{said}");
    }
}
