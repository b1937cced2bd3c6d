use std::{fs, path::Path};

use super::*;

fn offered(host: &str) -> Offered {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/hosts").join(host);
    Offered::from(&serde_json::from_str::<HostCpu>(&fs::read_to_string(path).unwrap()).unwrap())
}

#[test]
fn an_offer_is_the_nesting_part_of_a_host() {
    let bochs = offered("bochs-haswell.json");
    assert_eq!((bochs.vmx, bochs.svm, bochs.vmx_msrs.len()), (true, false, 18));
    let tcg = offered("qemu-tcg-epyc.json");
    assert_eq!((tcg.vmx, tcg.svm, tcg.vmx_msrs.len(), tcg.svm_features), (false, true, 0, Hex(0x1001_0021)));
    assert_eq!(offered("software-kvm.json"), Offered::default());
}

#[test]
fn facts_survive_a_file() {
    let facts = Facts {
        msrs: BTreeMap::from([(Hex(0x3a), Hex(5))]),
        proof: Proof::Failed {
            kind: arch::cpu::nesting::Virtualization::Vmx,
            step: "VMXON".into(),
            how: "#GP".into(),
        },
        ..Facts::default()
    };
    let text = serde_json::to_string(&facts).unwrap();
    assert!(text.contains(r#""msrs":{"0x3a":"0x5"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    assert_eq!(serde_json::from_str::<Facts>("{}").unwrap(), Facts::default());
    for wrong in [r#"{"kernal": "6.1"}"#, r#"{"msrs": {"0x3a": "5"}}"#] {
        assert!(serde_json::from_str::<Facts>(wrong).is_err(), "{wrong}");
    }
}
