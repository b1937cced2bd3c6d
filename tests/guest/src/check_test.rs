use super::*;

fn finding(id: &str, severity: &str, found: &str) -> Finding {
    Finding { id: id.to_owned(), severity: severity.to_owned(), found: found.to_owned() }
}

fn good() -> Check {
    Check {
        status: Some(0),
        kvm: "yes".to_owned(),
        nested: "yes".to_owned(),
        findings: vec![
            finding("level.guest", "info", "this machine is a guest of KVM"),
            finding("proof.executed", "ok", "L1 can enter SVM operation: yes (a guest executed VMRUN)"),
        ],
    }
}

#[test]
fn a_check_needs_its_proof() {
    judge(Virt::Svm, &good()).unwrap();
    judge_guest(Virt::Svm, Some(&good())).unwrap();
    judge_guest(Virt::Svm, None).unwrap_err();
    judge(Virt::Vmx, &good()).unwrap_err();
    judge(Virt::Svm, &Check { status: Some(77), ..good() }).unwrap_err();
    judge(Virt::Svm, &Check { nested: "unknown".to_owned(), ..good() }).unwrap_err();
    let mut without = good();
    without.findings.pop();
    assert_eq!(judge(Virt::Svm, &without).unwrap_err().to_string(), "no proof.executed");
    let mut warned = good();
    warned.findings.push(finding("nesting.disagreement", "warning", "it fails"));
    assert_eq!(judge(Virt::Svm, &warned).unwrap_err().to_string(), "nesting.disagreement: it fails");
    let mut host = good();
    host.findings[0].id = "level.host".to_owned();
    judge(Virt::Svm, &host).unwrap();
    judge_guest(Virt::Svm, Some(&host)).unwrap_err();
}
