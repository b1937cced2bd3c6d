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
fn a_broken_level_has_to_be_told_with_its_status() {
    let [first, ..] = &BROKEN;
    let said = format!("...\n{}: no /dev/kvm\n", first.says);
    assert!(matches!(first.judge(Some(first.status), &said), Outcome::Passed));
    assert!(matches!(first.judge(Some(0), &said), Outcome::Failed(_)));
    assert!(matches!(first.judge(Some(first.status), "level 0: timed out"), Outcome::Failed(_)));
}
