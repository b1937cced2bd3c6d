use std::process::{Command, Stdio};

use super::*;
use crate::nest::explain::cost::Cost;

fn says(level: u32, said: Said) -> Line {
    Line { level, said }
}

fn text(level: u32, text: &str) -> Line {
    says(level, Said::Text(text.into()))
}

/// A meter without tracepoints, at level 0 of two levels: it asks this process's child for its statistics.
fn by_statistics(child: u32) -> Meter {
    let mut meter = Meter::new(0, 2, child, true);
    meter.by = By::Statistics(vec![], io::Error::other("no tracefs"));
    meter
}

#[test]
fn statistics_are_asked_for_and_taken_once_for_each_work() {
    // It ignores no signal: the first request ends it, and later ones have no receiver.
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let mut meter = by_statistics(child.id());
    meter.hear(&text(1, "nvmm: KVM counted 7 exits"));
    for (work, exits) in Work::ALL.iter().zip([1000, 1100, 14_200, 19_300]) {
        // Neither another level's report nor the same work again.
        meter.hear(&says(1, Said::Work(*work)));
        meter.hear(&says(2, Said::Work(*work)));
        meter.hear(&says(2, Said::Work(*work)));
        meter.hear(&text(2, "nvmm: KVM counted 1 exits"));
        meter.hear(&text(1, "nvmm: KVM counted nonsense"));
        meter.hear(&text(1, &format!("nvmm: KVM counted {exits} exits, io {}", exits / 2)));
        meter.hear(&text(1, "nvmm: KVM counted 999999 exits"));
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGUSR1));
    let said = meter.result(&Symbols::default());
    let [Said::Untraced(why), Said::Cost(cpuid), Said::Cost(ports)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(why, "no tracefs");
    let found = |cost: &Cost| (cost.work, cost.measured, cost.exits, cost.reasons[0].exits);
    // 100 exits are those of the report itself.
    assert_eq!(found(cpuid), (Work::Cpuid, 2000, 6.5, 3.3));
    assert_eq!(found(ports), (Work::Ports, 500, 10.0, 5.0));
}

#[test]
fn a_run_without_work_or_with_a_look_missing_has_no_costs() {
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    assert_eq!(Meter::new(0, 2, child.id(), true).result(&Symbols::default()), []);
    let mut meter = by_statistics(child.id());
    for work in Work::ALL {
        meter.hear(&says(2, Said::Work(work)));
    }
    meter.hear(&text(1, "nvmm: KVM counted 7 exits"));
    child.wait().unwrap();
    let said = meter.result(&Symbols::default());
    assert!(matches!(&said[..], [Said::Untraced(_)]), "{said:?}");
}
