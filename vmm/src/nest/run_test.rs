use super::*;
use crate::nest::exec::news::{End, News, Piece};
use crate::nest::record::CheckRecord;

fn facts(hypervisor: &str) -> Facts {
    Facts {
        kernel: "6.1.0".into(),
        cpu: "EPYC".into(),
        nesting: "SVM NPT".into(),
        hypervisor: hypervisor.into(),
        features: vec![],
    }
}

fn take(run: &mut Run, level: u32, said: Said) -> Option<String> {
    let at = Duration::from_millis(if matches!(said, Said::Start) { 1000 } else { 4240 });
    run.take(&Line { level, said }, at)
}

/// A level that gets as far as its own work.
fn work(run: &mut Run, level: u32) {
    for said in [
        Said::Start,
        Said::Entered,
        Said::Up(facts(hypervisor::KVM)),
        Said::Disk { read: 1, wrote: 2, read_ms: 500, write_ms: 2000 },
        Said::Kvm,
    ] {
        take(run, level, said);
    }
}

/// The same for a run whose second level runs a program.
fn run_program(program: impl FnOnce(&mut Run)) -> Record {
    run(|run| {
        run.expect(&Program { file: "mytest".into(), ..Program::default() });
        work(run, 1);
        work(run, 2);
        program(run);
        take(run, 1, Said::Done);
    })
}

/// A run of two levels in an emulated machine, and its events.
fn run(steps: impl FnOnce(&mut Run)) -> Record {
    let mut run = Run::new(2, Some("QEMU TCG"));
    take(&mut run, 0, Said::Start);
    let features = vec!["fpu".into(), "svm".into()];
    take(&mut run, 0, Said::Up(Facts { features, ..facts("TCGTCGTCGTCG") }));
    take(&mut run, 0, Said::Kvm);
    steps(&mut run);
    run.end(Duration::from_secs(9));
    run.record(Duration::from_secs(10))
}

fn statuses(record: &Record) -> Vec<Status> {
    record.levels.iter().map(|level| level.status).collect()
}

fn failure(record: Record) -> (u32, FailureKind, String) {
    match record.verdict {
        Verdict::Failed { level, kind, why, .. } => (level, kind, why),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_run_passes_when_every_level_was_verified() {
    let record = run(|run| {
        work(run, 1);
        work(run, 2);
        take(run, 1, Said::Exits([("io_exits".into(), 7)].into()));
        take(run, 1, Said::Check(CheckRecord { kvm: Some(true), nested: Some(true), warnings: vec![] }));
        take(run, 2, Said::Done);
        take(run, 1, Said::Done);
    });
    assert_eq!(record.verdict, Verdict::Passed);
    assert_eq!(statuses(&record), [Status::Passed; 3]);
    let [host, one, _] = record.levels.try_into().unwrap();
    assert_eq!((host.started, host.first_entry, host.passed), (Some(1.0), Some(4.24), Some(9.0)));
    assert_eq!((one.started, one.kvm_loaded, one.exits["io_exits"]), (Some(1.0), Some(4.24), 7));
    let disk = DiskRecord { bytes: AREA, read_seconds: 0.5, write_seconds: 2.0, verified: true };
    assert_eq!(one.disk, Some(disk));
    assert_eq!(one.check.unwrap().nested, Some(true));
}

#[test]
fn the_program_s_status_is_the_verdict() {
    let ends = |end| {
        run_program(|run| {
            take(run, 2, Said::Program(News::Started));
            take(run, 2, Said::Program(News::Ended(end)));
            take(run, 2, Said::Done);
        })
    };
    let record = ends(End::Exited(0));
    assert_eq!((&record.verdict, statuses(&record)), (&Verdict::Passed, vec![Status::Passed; 3]));
    assert_eq!(record.program.unwrap().status, Some(0));
    let record = ends(End::Exited(77));
    assert_eq!(record.verdict, Verdict::Skipped { why: "mytest ended with status 77".into() });
    assert_eq!(statuses(&record), [Status::Passed, Status::Passed, Status::Skipped]);
    for (end, why) in [
        (End::Exited(1), "mytest ended with status 1"),
        (End::Exited(-1), "mytest ended with status -1"),
        (End::Killed(11), "mytest was ended by SIGSEGV"),
    ] {
        let record = ends(end);
        assert_eq!(statuses(&record), [Status::Passed, Status::Passed, Status::Failed]);
        assert_eq!(failure(record), (2, FailureKind::Program, why.to_owned()));
    }
}

#[test]
fn a_program_without_a_report_has_not_passed() {
    let record = run_program(|run| drop(take(run, 2, Said::Done)));
    assert_eq!(failure(record), (2, FailureKind::Program, "it is not known how mytest ended".to_owned()));
    // Its skip hides no failure.
    let record = run_program(|run| {
        take(run, 2, Said::Program(News::Ended(End::Exited(77))));
        take(run, 2, Said::Fail(FailureKind::Disk, "differs".into()));
    });
    assert_eq!(failure(record).1, FailureKind::Disk);
}

#[test]
fn the_programs_output_is_shown_and_kept() {
    let piece = |at, text: &[u8]| News::Output(Piece::pack(at, text).unwrap().0);
    let record = run_program(|run| {
        take(run, 2, Said::Program(News::Started));
        assert_eq!(take(run, 2, Said::Program(piece(0, b"\x1b[1mone\ntwo"))), None);
        assert_eq!(run.printed(), b"\x1b[1mone\ntwo");
        assert_eq!(run.printed(), b"");
        take(run, 2, Said::Fail(FailureKind::TimedOut, "its program did not end".into()));
    });
    let Verdict::Failed { console, .. } = record.verdict else { panic!("it failed") };
    assert_eq!(console, ["[1mone"]);
    assert_eq!(record.program.unwrap().output, "\x1b[1mone\ntwo");
    let mut run = Run::new(1, None);
    assert_eq!(take(&mut run, 1, Said::Program(piece(0, b"no such program"))), None);
}

#[test]
fn features_are_made_whole_from_the_level_below() {
    let record = run(|run| {
        let features = vec!["-svm".into(), "+hypervisor".into()];
        take(run, 1, Said::Up(Facts { features, ..facts(hypervisor::KVM) }));
    });
    assert_eq!(record.levels[1].facts.as_ref().unwrap().features, ["fpu", "hypervisor"]);
}

#[test]
fn the_first_failure_is_reported_with_its_console() {
    let record = run(|run| {
        work(run, 1);
        take(run, 2, Said::Start);
        for line in 0..TAIL + 1 {
            take(run, 2, Said::Text(format!("line {line}\x1b[2J")));
        }
        let said = take(run, 2, Said::Fail(FailureKind::NoNesting, "no SVM".into()));
        assert_eq!(said.unwrap(), "no nesting: no SVM");
        take(run, 0, Said::Fail(FailureKind::Vmm, "later".into()));
    });
    assert_eq!(statuses(&record), [Status::Passed, Status::Passed, Status::Failed]);
    let Verdict::Failed { level, kind, why, console } = record.verdict else { panic!("it failed") };
    assert_eq!((level, kind, why.as_str()), (2, FailureKind::NoNesting, "no SVM"));
    assert_eq!((console.len(), console[0].as_str()), (TAIL, "line 1[2J"));
}

#[test]
fn an_end_without_a_report_has_its_place() {
    let kernel = |level| (level, FailureKind::KernelDidNotStart, "it ended before it ran /init".to_owned());
    assert_eq!(failure(run(|run| drop(take(run, 1, Said::Start)))), kernel(1));
    assert_eq!(
        failure(run(|run| work(run, 1))),
        (1, FailureKind::Ended, "before all of its work was done".to_owned())
    );
    assert_eq!(failure(run(|_| {})), (0, FailureKind::Ended, "before all of its work was done".to_owned()));
    let mut silent = Run::new(2, Some("Bochs"));
    silent.end(Duration::ZERO);
    let record = silent.record(Duration::ZERO);
    assert_eq!(statuses(&record), [Status::Failed, Status::NotReached, Status::NotReached]);
    assert_eq!(failure(record), kernel(0));
}

#[test]
fn a_level_that_does_not_run_on_kvm_proves_nothing() {
    let mut run = Run::new(1, None);
    work(&mut run, 1);
    take(&mut run, 1, Said::Up(facts("TCGTCGTCGTCG")));
    take(&mut run, 1, Said::Done);
    run.end(Duration::ZERO);
    let why = r#"it runs on "TCGTCGTCGTCG" by CPUID"#.to_owned();
    assert_eq!(failure(run.record(Duration::ZERO)), (1, FailureKind::NotOnKvm, why));
}

#[test]
fn a_level_that_kvm_never_entered_proves_nothing() {
    let mut run = Run::new(1, None);
    for said in [Said::Start, Said::Up(facts(hypervisor::KVM)), Said::Done] {
        take(&mut run, 1, said);
    }
    run.end(Duration::ZERO);
    assert_eq!(failure(run.record(Duration::ZERO)).1, FailureKind::NotOnKvm);
}

#[test]
fn a_host_that_can_not_nest_is_a_skip() {
    let mut run = Run::new(1, None);
    run.skip("no SVM".into());
    let record = run.record(Duration::ZERO);
    assert_eq!(statuses(&record), [Status::Skipped; 2]);
    assert_eq!(record.verdict, Verdict::Skipped { why: "no SVM".into() });
}

#[test]
fn an_idle_emulator_is_named() {
    let mut run = Run::new(1, Some("QEMU TCG"));
    let said = take(&mut run, 1, Said::Idle("QEMU TCG (process 7) is idle".into()));
    assert_eq!(said.as_deref(), Some("QEMU TCG (process 7) is idle while this level waits"));
}

#[test]
fn levels_beyond_the_last_are_not_believed() {
    let mut run = Run::new(1, None);
    assert_eq!(take(&mut run, 2, Said::Done), None);
}

#[test]
fn costs_are_kept_once_for_each_kind_with_advice_for_the_level_that_counted() {
    let cost = |exits| {
        let cost = serde_json::json!({
            "work": "cpuid", "measured": 2000, "exits": exits,
            "reasons": [{ "level": 1, "reason": "vmload", "exits": 2.0 }],
        });
        Said::Cost(serde_json::from_value(cost).unwrap())
    };
    let record = run(|run| {
        take(run, 0, cost(6.2));
        take(run, 0, cost(1e9));
        take(run, 0, Said::Untraced("no tracefs".into()));
    });
    let [cost] = &record.levels[0].costs[..] else { panic!("{record:?}") };
    assert_eq!((cost.exits, cost.advice.len()), (6.2, 1));
    assert_eq!(record.levels[0].untraced.as_deref(), Some("no tracefs"));
}

/// Levels when they are kept: none has powered off.
fn kept() -> Record {
    run(|run| {
        for level in [1, 2] {
            work(run, level);
        }
        assert_eq!(take(run, 2, Said::Ready).unwrap(), "waits for a program");
        run.stop(Duration::from_secs(8));
    })
}

#[test]
fn levels_that_are_kept_have_passed() {
    let record = kept();
    assert_eq!((&record.verdict, statuses(&record)), (&Verdict::Passed, vec![Status::Passed; 3]));
    // No disk has been compared yet.
    assert!(record.levels.iter().all(|level| level.disk.is_none_or(|disk| !disk.verified)));
}

#[test]
fn a_copy_has_the_verdict_of_its_program() {
    let copy = |news: &[News]| {
        let mut run = Run::of_kept(&kept());
        run.expect(&Program { file: "mytest".into(), ..Program::default() });
        news.iter().for_each(|news| drop(take(&mut run, 2, Said::Program(news.clone()))));
        if run.has_ended() {
            run.stop(Duration::from_secs(1));
        }
        run.end(Duration::from_secs(1));
        run.record(Duration::from_secs(1))
    };
    let passed = copy(&[News::Started, News::Ended(End::Exited(0))]);
    assert_eq!(passed.verdict, Verdict::Passed);
    assert_eq!(passed.levels[2].facts.as_ref().unwrap().kernel, "6.1.0");
    assert_eq!(passed.program.unwrap().status, Some(0));
    let (level, kind, why) = failure(copy(&[News::Started, News::Ended(End::Exited(3))]));
    assert_eq!((level, kind), (2, FailureKind::Program));
    assert!(why.contains("status 3"), "{why}");
    assert!(matches!(copy(&[News::Started, News::Ended(End::Exited(77))]).verdict, Verdict::Skipped { .. }));
    assert_eq!(failure(copy(&[News::Started])).0, 2);
    assert_eq!(failure(copy(&[])).0, 2);
}
