use super::*;

const KNOWN: &[Argument] = &[
    Argument::new("path", Type::String, "a path"),
    Argument::optional("size", Type::Uint64, "a size"),
    Argument::optional("target", Type::Enum(&["vm", "vcpu"]), "a target"),
    Argument::optional("on", Type::Boolean, "a switch"),
    Argument::optional("list", Type::Array(&Type::String), "a list"),
    Argument::optional("model", Type::NOTHING, "a model"),
];

fn check(given: &Value) -> Result<Arguments, Refusal> {
    Arguments::check(given.as_object().unwrap().clone(), KNOWN)
}

#[test]
fn faults_are_reported_in_qemus_words() {
    for (given, why) in [
        (json!({}), "Parameter 'path' is missing"),
        (json!({"path": "a", "more": 1}), "Parameter 'more' is unexpected"),
        (json!({"path": 1}), "Invalid parameter type for 'path', expected: string"),
        (json!({"path": null}), "Invalid parameter type for 'path', expected: string"),
        (json!({"path": "a", "size": -1}), "Invalid parameter type for 'size', expected: uint64"),
        (json!({"path": "a", "size": 1.5}), "Invalid parameter type for 'size', expected: uint64"),
        (json!({"path": "a", "size": "1"}), "Invalid parameter type for 'size', expected: uint64"),
        (json!({"path": "a", "on": "on"}), "Invalid parameter type for 'on', expected: boolean"),
        (json!({"path": "a", "list": {}}), "Invalid parameter type for 'list', expected: array"),
        (json!({"path": "a", "model": []}), "Invalid parameter type for 'model', expected: object"),
        (json!({"path": "a", "target": 1}), "Invalid parameter type for 'target', expected: string"),
        (json!({"path": "a", "target": "cpu"}), "Parameter 'target' does not accept value 'cpu'"),
    ] {
        assert_eq!(check(&given).unwrap_err(), Refusal(why.to_owned()), "{given}");
    }
}

#[test]
fn arguments_are_taken_by_name() {
    let mut given = check(&json!({"path": "a", "size": u64::MAX, "list": ["x"]})).unwrap();
    assert_eq!(given.need::<String>("path"), Ok("a".to_owned()));
    assert_eq!(given.take("size"), Ok(Some(u64::MAX)));
    assert_eq!(given.take::<bool>("on"), Ok(None));
    assert_eq!(given.take("list"), Ok(Some(vec!["x".to_owned()])));
    let mut given = check(&json!({"path": "a", "size": 1_u64 << 40, "list": [1]})).unwrap();
    assert!(given.take::<u32>("size").is_err_and(|Refusal(why)| why.starts_with("Parameter 'size': ")));
    assert!(
        given.take::<Vec<String>>("list").is_err_and(|Refusal(why)| why.starts_with("Parameter 'list': "))
    );
}

#[test]
fn the_table_describes_itself() {
    assert_eq!(
        KNOWN[2].describe(),
        json!({"name": "target", "type": "string", "values": ["vm", "vcpu"], "optional": true, "help": "a target"})
    );
}
