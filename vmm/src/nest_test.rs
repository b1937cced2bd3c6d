use clap::Parser;

use super::*;
use crate::host::HostError;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    nest: NestArgs,
}

fn manifest(words: &str) -> Manifest {
    Command::parse_from(["nest"].into_iter().chain(words.split_whitespace())).nest.manifest()
}

#[test]
fn an_emulated_level_1_has_one_vcpu_unless_told_otherwise() {
    let vcpus = |words| level::config(1, &manifest(words)).unwrap().topology.vcpus();
    assert_eq!([vcpus(""), vcpus("--emulated svm"), vcpus("--emulated vmx")], [2, 1, 1]);
    assert_eq!(vcpus("--emulated svm --smp 2"), 2);
}

#[test]
fn the_host_alone_watches_an_emulated_machine() {
    let pace = |words| manifest(words).pace;
    assert_eq!(pace(""), Pace { limit: 120, alone: false });
    assert_eq!(pace("--timeout 7"), Pace { limit: 7, alone: false });
    assert_eq!(pace("--emulated svm"), Pace { limit: 300, alone: true });
    assert_eq!(pace("--emulated vmx --timeout 7"), Pace { limit: 7, alone: true });
}

/// A job that takes a skip for success would be green without ever having tested anything.
#[test]
fn a_kvm_that_may_not_be_opened_is_a_failure_of_the_host_and_no_skip() {
    let path = || PathBuf::from("/dev/kvm");
    let verdict = |error: HostError| {
        let mut run = Run::new(2, None);
        end(&mut run, Unfit::from(error));
        run.record(Duration::ZERO).verdict
    };
    for error in [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM] {
        match verdict(HostError::NoAccess(path(), error.into())) {
            Verdict::Failed { level: 0, kind: FailureKind::NoAccess, why, .. } => {
                assert!(why.starts_with("/dev/kvm can't be opened by this user: join its group"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    for error in [HostError::Missing(path()), HostError::NotKvm(path()), HostError::Version(1)] {
        let verdict = verdict(error);
        assert!(matches!(verdict, Verdict::Skipped { .. }), "{verdict:?}");
    }
}
