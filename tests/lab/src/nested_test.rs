use super::*;

#[test]
fn scenarios_tell_their_outcome_in_json() {
    let passed = scenario(r#"{"failure":null,"name":"flags","seconds":1.5}"#).unwrap();
    assert_eq!(passed, ("flags".into(), Duration::from_millis(1500), Outcome::Passed));
    let failed = scenario(r#"{"failure":"lost: vmx","name":"flags","seconds":2}"#).unwrap();
    assert_eq!(failed.2, Outcome::Failed("lost: vmx".into()));
    assert_eq!(scenario("text"), None);
}
