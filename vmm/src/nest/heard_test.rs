use std::os::unix::process::ExitStatusExt;

use super::*;
use crate::nest::facts;

/// The end of a level with these lines on its console.
fn judge(console: &[Line], status: i32, outside: (u32, u32)) -> Result<(), Failure> {
    let mut heard = Heard::default();
    for line in console {
        heard.listen(1, line);
    }
    heard.judge(ExitStatus::from_raw(status << 8), outside)
}

fn up() -> Line {
    Line { level: 1, said: Said::Up(facts::Facts::gather()) }
}

fn disk_check() -> Line {
    Line { level: 1, said: Said::Disk { read: 1, wrote: 2, read_ms: 0, write_ms: 0 } }
}

#[test]
fn a_level_whose_disk_matches_its_report_is_done() {
    judge(&[up(), disk_check()], 0, (1, 2)).unwrap();
    let (kind, why) = judge(&[up(), disk_check()], 0, (1, 3)).unwrap_err();
    assert_eq!(kind, FailureKind::Disk);
    assert!(why.starts_with("its disk holds data with CRCs 00000001 and 00000003, "), "{why}");
}

#[test]
fn the_ways_to_end_early_are_distinguished() {
    let kind = |console: &[Line], status| judge(console, status, (1, 2)).unwrap_err().0;
    assert_eq!(kind(&[], 0), FailureKind::KernelDidNotStart);
    assert_eq!(kind(&[up()], 0), FailureKind::Ended);
    assert_eq!(kind(&[up()], 3), FailureKind::Vmm);
    for status in [4, 6, 8, 10] {
        assert_eq!(kind(&[up(), disk_check()], status), FailureKind::EntryFailed, "{status}");
    }
    let (_, why) = judge(&[], 6, (1, 2)).unwrap_err();
    assert_eq!(why, "the processor refused to enter the guest (nvmm's exit status 6)");
    let killed = Heard::default().judge(ExitStatus::from_raw(9), (1, 2)).unwrap_err();
    assert_eq!(killed.0, FailureKind::Vmm);
}

#[test]
fn the_first_entry_is_noticed_and_numbers_are_not_repeated() {
    let mut heard = Heard::default();
    let mut listen = |text: &str| heard.listen(1, &Line { level: 1, said: Said::Text(text.into()) });
    assert_eq!(listen(&format!("nvmm: {ENTERED}")).unwrap().said, Said::Entered);
    assert_eq!(listen("nvmm: KVM counted 5 exits"), None);
    assert_eq!(listen("login:").unwrap().said, Said::Text("login:".into()));
    assert!(!heard.failed);
    heard.listen(1, &Line { level: 2, said: Said::Fail(FailureKind::TimedOut, "hung".into()) });
    assert!(heard.failed);
}
