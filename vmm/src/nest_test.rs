use clap::Parser;

use super::*;

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
