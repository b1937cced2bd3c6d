use arch::cpu::model;

use super::{super::text::WIDTH, *};
use crate::cpu::testing::{haswell, hosts, milan};

#[test]
fn models_are_marked() {
    let text = Listing::new(Some(&haswell())).unwrap().text(false, Paint::PLAIN);
    for line in [
        "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz; nesting: vmx",
        "host-passthrough (host, max)      all that KVM offers here",
        "qemu64                            AMD 15/107      QEMU Virtual CPU version 2.5+",
        "  -v1   qemu64                    runs",
        "  -v2   Haswell-noTSX             lacks 1: erms",
        "  here      vmx-eptp-switching",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    let long = text.lines().find(|line| line.starts_with("  -v1   SapphireRapids")).unwrap();
    assert!(long.contains(" lacks ") && long.ends_with(" ..."), "{long}");
    let all = Listing::new(Some(&haswell())).unwrap().text(true, Paint::PLAIN);
    assert!(!all.contains(" ..."));
}

#[test]
fn without_a_host_nothing_is_marked() {
    let text = Listing::new(None).unwrap().text(false, Paint::PLAIN);
    assert!(!text.contains("runs") && !text.contains("lacks") && !text.contains("here  "), "{text}");
    for model in model::all() {
        assert!(text.contains(model.name.rsplit_once("-v").map_or(model.name.as_str(), |(name, _)| name)));
    }
    for id in FeatureId::all() {
        assert!(text.split_whitespace().any(|word| word == id.name()), "{id}");
    }
}

#[test]
fn lines_fit_and_colour_changes_no_letter() {
    for host in hosts() {
        let listing = Listing::new(Some(&host)).unwrap();
        for everything in [false, true] {
            let plain = listing.text(everything, Paint::PLAIN);
            for line in plain.lines() {
                assert!(line.chars().count() <= WIDTH && line.trim_end() == line, "{line:?}");
            }
            let coloured = listing.text(everything, Paint::COLOURED);
            assert_eq!(crate::cpu::text::without_colour(&coloured), plain);
        }
    }
}

#[test]
fn json_marks_what_the_text_marks() {
    let json = serde_json::to_value(Listing::new(Some(&milan())).unwrap()).unwrap();
    assert_eq!(json["host"]["nesting"], "svm");
    let families = json["models"].as_array().unwrap();
    let epyc = families.iter().find(|family| family["name"] == "EPYC").unwrap();
    assert_eq!((&epyc["vendor"], &epyc["family"]), (&"AMD".into(), &23.into()));
    assert_eq!(epyc["versions"][0]["name"], "EPYC-v1");
    assert_eq!(epyc["versions"][0]["aliases"], serde_json::json!(["EPYC"]));
    let features = json["features"].as_array().unwrap();
    let mark = |name: &str| &features.iter().find(|feature| feature["name"] == name).unwrap()["host"];
    assert_eq!((mark("npt"), mark("vmx"), mark("ht")), (&true.into(), &false.into(), &true.into()));
}
