use clap::Parser;

use super::*;
use crate::cli::Cli;

fn refusal(options: &[&str]) -> Option<String> {
    let line = Cli::try_parse_from([&["nvmm", "--kernel", "k"], options].concat()).unwrap();
    VmConfig::new(&line.machine).err().map(|error| error.to_string())
}

#[test]
fn places_without_a_name_are_refused() {
    for place in ["/", ".", "..", "a/.."] {
        let refused = format!("--snapshot-on-exit {place}: give the name of a directory to make");
        assert_eq!(refusal(&["--snapshot-on-exit", place]), Some(refused));
    }
    assert_eq!(refusal(&["--snapshot-on-exit", "a/"]), None);
}

#[test]
fn disks_that_are_gone_at_the_end_are_refused() {
    let temporary = ["--disk", "path=a,format=raw,id=a,overlay=temp"];
    assert_eq!(refusal(&temporary), None);
    let refused = refusal(&[&temporary[..], &["--snapshot-on-exit", "s"]].concat()).unwrap();
    assert!(refused.starts_with("--snapshot-on-exit s: disk a: what the guest wrote is gone"), "{refused}");
}
