use std::path::Path;

use super::*;

fn outcome(step: u64, vector: Option<u8>, exit_code: u64) -> code::Outcome {
    code::Outcome { step, vector, exit_code }
}

fn failure(proof: &Proof) -> String {
    match proof {
        Proof::Failed { step, how, .. } => format!("{step}: {how}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_last_step_is_a_proof() {
    let done = |kind, outcome| judge(kind, &outcome, Some(Exit::Debug(3)));
    assert_eq!(done(Virtualization::Vmx, outcome(4, None, 0)), Proof::Executed { kind: Virtualization::Vmx });
    assert_eq!(
        done(Virtualization::Svm, outcome(4, None, EXIT_HLT)),
        Proof::Executed { kind: Virtualization::Svm }
    );
    assert_eq!(
        failure(&done(Virtualization::Vmx, outcome(3, None, 0))),
        "VMXON: it failed without an exception"
    );
    assert_eq!(failure(&done(Virtualization::Vmx, outcome(3, Some(6), 0))), "VMXON: #UD, invalid opcode");
    assert_eq!(
        failure(&done(Virtualization::Svm, outcome(1, Some(13), 0))),
        "setting EFER.SVME: #GP, general protection"
    );
    let invalid = failure(&done(Virtualization::Svm, outcome(4, None, u64::MAX)));
    assert_eq!(invalid, "VMRUN: exit code 0xffffffffffffffff, where HLT's is 0x78");
    assert_eq!(
        failure(&judge(Virtualization::Svm, &outcome(3, None, 0), None)),
        "VMRUN: it did not end in 180 s"
    );
}

#[test]
fn without_the_bit_the_guest_faults() {
    let host = match Host::open(Path::new("/dev/kvm")) {
        Ok(host) => host,
        Err(error) => return println!("skipped: {error}"),
    };
    if run(&host) != Proof::NoBit {
        return println!("skipped: this host nests");
    }
    let profile = profile(&host).unwrap();
    for (kind, step) in
        [(Virtualization::Vmx, "setting CR4.VMXE: "), (Virtualization::Svm, "setting EFER.SVME: ")]
    {
        let failure = failure(&try_it(&host, &profile, kind).unwrap());
        assert_eq!(failure, format!("{step}#GP, general protection"));
    }
}
