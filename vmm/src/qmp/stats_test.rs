use super::*;

fn filter(given: Value) -> Result<Filter, Refusal> {
    let Value::Object(given) = given else { panic!("{given}") };
    Filter::new(&mut Arguments::check(given, ARGUMENTS)?)
}

fn apply(given: Value) -> Value {
    let counters = |exits: u64| Counters::from([("exits".to_owned(), exits), ("halt_exits".to_owned(), 1)]);
    let all =
        Stats { vm: Counters::from([("pages_4k".to_owned(), 7)]), vcpus: vec![counters(10), counters(20)] };
    filter(given).unwrap().apply(json!(all)).unwrap_or_else(|Refusal(why)| why.into())
}

#[test]
fn the_machine_and_its_vcpus_have_their_own() {
    assert_eq!(
        apply(json!({"target": "vm"})),
        json!([{"provider": "kvm", "stats": [{"name": "pages_4k", "value": 7}]}])
    );
    let halts = json!({"name": "halt_exits", "value": 1});
    let exits = |value| json!({"name": "exits", "value": value});
    assert_eq!(
        apply(json!({"target": "vcpu"})),
        json!([
            {"provider": "kvm", "qom-path": path(0), "stats": [exits(10), halts]},
            {"provider": "kvm", "qom-path": path(1), "stats": [exits(20), halts]},
        ])
    );
    let given =
        json!({"target": "vcpu", "vcpus": [path(1)], "providers": [{"provider": "kvm", "names": ["exits"]}]});
    assert_eq!(apply(given), json!([{"provider": "kvm", "qom-path": path(1), "stats": [exits(20)]}]));
    assert_eq!(apply(json!({"target": "vm", "providers": []})), json!([]));
}

#[test]
fn unknown_names_are_refused() {
    for (given, why) in [
        (json!({}), "Parameter 'target' is missing"),
        (json!({"target": "cryptodev"}), "Parameter 'target' does not accept value 'cryptodev'"),
        (json!({"target": "vm", "vcpus": []}), "Parameter 'vcpus' is unexpected"),
        (json!({"target": "vcpu", "vcpus": ["x"]}), "Parameter 'vcpus': there is no vCPU 'x'"),
        (
            json!({"target": "vm", "providers": [{"provider": "cryptodev"}]}),
            "Parameter 'provider' does not accept value 'cryptodev'",
        ),
    ] {
        assert_eq!(filter(given.clone()), Err(Refusal(why.to_owned())), "{given}");
    }
    assert!(filter(json!({"target": "vm", "providers": [{"provider": "kvm", "more": 1}]})).is_err());
    let why = format!("Parameter 'vcpus': there is no vCPU '{}'", path(2));
    assert_eq!(apply(json!({"target": "vcpu", "vcpus": [path(2)]})), json!(why));
}
