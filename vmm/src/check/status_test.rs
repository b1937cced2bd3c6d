use super::*;
use report::SCHEMA;

#[test]
fn the_status_is_that_of_what_is_required() {
    for (verdict, code) in [(Verdict::Yes, 0), (Verdict::No, 1), (Verdict::Unknown, CANNOT_TELL)] {
        let report = |kvm, nested| Report {
            schema: SCHEMA,
            nvmm: "",
            kvm,
            nested,
            findings: Vec::new(),
            facts: Facts::default(),
        };
        assert_eq!(status(&report(verdict, Verdict::No), Require::Kvm), code);
        assert_eq!(status(&report(Verdict::Yes, verdict), Require::Nested), code);
    }
}
