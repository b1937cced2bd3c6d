use super::*;

fn hosts() -> [HostCpu; 2] {
    [
        include_str!("../../../resources/hosts/sapphire-rapids.json"),
        include_str!("../../../resources/hosts/milan.json"),
    ]
    .map(|json| serde_json::from_str(json).unwrap())
}

fn expansion(given: Value) -> Result<ModelQuestion, Refusal> {
    let Value::Object(given) = given else { panic!("{given}") };
    ModelQuestion::expansion(&mut Arguments::check(given, ARGUMENTS)?, Topology::flat(2).unwrap())
}

fn expand(host: &HostCpu, kind: &str, model: &Value) -> Value {
    let mut answer = expansion(json!({"type": kind, "model": model})).unwrap().answer_for(host).unwrap();
    answer["model"].take()
}

#[test]
fn every_model_is_defined_with_the_features_a_host_lacks() {
    let [intel, amd] = hosts().map(|host| ModelQuestion::Definitions.answer_for(&host).unwrap());
    let find = |list: &Value, name: &str| {
        let found = list.as_array().unwrap().iter().find(|model| model["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(intel.as_array().unwrap().len(), model::all().count() + 4);
    assert_eq!(find(&intel, "host")["unavailable-features"], json!([]));
    for (list, lacks) in [(&intel, true), (&amd, false)] {
        let lacking = find(list, "EPYC-v1")["unavailable-features"].clone();
        assert_eq!(lacking.as_array().unwrap().contains(&json!("sse4a")), lacks, "{lacking}");
    }
    assert_eq!(find(&amd, "Haswell")["alias-of"], json!("Haswell-v1"));
}

#[test]
fn a_static_expansion_is_the_same_cpu_again() {
    for host in hosts() {
        for given in [
            json!({"name": "host"}),
            json!({"name": "qemu64", "props": {"sse4.2": true, "model-id": "x"}}),
            json!({"name": "host-model", "props": {"avx": false}}),
        ] {
            let model = expand(&host, "static", &given);
            let again = expand(&host, "static", &model);
            assert_eq!(again, model, "{given}");
            assert!(model::find(model["name"].as_str().unwrap()).is_some(), "{model}");
            assert_eq!(expand(&host, "full", &model)["props"], expand(&host, "full", &again)["props"]);
        }
    }
}

#[test]
fn a_full_expansion_has_every_feature() {
    let [intel, amd] = hosts();
    let model = expand(&intel, "full", &json!({"name": "host", "props": {"vmx": false}}));
    assert_eq!(model["name"], json!("host"));
    let props = &model["props"];
    assert!(FeatureId::all().all(|id| props[id.name()].is_boolean()));
    assert_eq!(
        (&props["vmx"], &props["vmx-ept"], &props["avx512f"]),
        (&json!(false), &json!(false), &json!(true))
    );
    assert_eq!((&props["vendor"], &props["family"]), (&json!("GenuineIntel"), &json!(6)));
    let props = expand(&amd, "full", &json!({"name": "EPYC-Milan-v1"}))["props"].clone();
    assert_eq!(
        (&props["vendor"], &props["family"], &props["model"]),
        (&json!("AuthenticAMD"), &json!(25), &json!(1))
    );
}

#[test]
fn unknown_models_are_refused() {
    let refusal = |model: Value| expansion(json!({"type": "full", "model": model})).unwrap_err().0;
    assert!(refusal(json!({"name": "Hasswell"})).contains("Haswell"));
    assert!(refusal(json!({"name": "Haswell", "props": {"nonsense": true}})).contains("nonsense"));
    assert_eq!(refusal(json!({"name": "Haswell", "props": {"vmx": [1]}})), "property 'vmx' can't be [1]");
    assert!(refusal(json!({})).starts_with("Parameter 'model': "));
}
