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
    judge(Virtualization::Svm, &good()).unwrap();
    judge_guest(Virtualization::Svm, Some(&good())).unwrap();
    judge_guest(Virtualization::Svm, None).unwrap_err();
    judge(Virtualization::Vmx, &good()).unwrap_err();
    judge(Virtualization::Svm, &Check { status: Some(77), ..good() }).unwrap_err();
    judge(Virtualization::Svm, &Check { nested: "unknown".to_owned(), ..good() }).unwrap_err();
    let mut without = good();
    without.findings.pop();
    assert_eq!(judge(Virtualization::Svm, &without).unwrap_err().to_string(), "no proof.executed");
    let mut warned = good();
    warned.findings.push(finding("nesting.disagreement", "warning", "it fails"));
    assert_eq!(
        judge(Virtualization::Svm, &warned).unwrap_err().to_string(),
        "nesting.disagreement: it fails"
    );
    let mut host = good();
    host.findings[0].id = "level.host".to_owned();
    judge(Virtualization::Svm, &host).unwrap();
    judge_guest(Virtualization::Svm, Some(&host)).unwrap_err();
}
