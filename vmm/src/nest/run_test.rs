use super::*;

fn facts(hypervisor: &str) -> Facts {
    Facts {
        kernel: "6.1.0".into(),
        cpu: "EPYC".into(),
        nesting: "SVM NPT".into(),
        hypervisor: hypervisor.into(),
        features: vec!["fpu".into()],
    }
}

fn take(run: &mut Run, level: u32, said: Said) -> Option<String> {
    let at = Duration::from_millis(if matches!(said, Said::Start) { 1000 } else { 4240 });
    run.take(&Line { level, said }, at)
}

/// A level that does all that it should.
fn pass(run: &mut Run, level: u32) {
    take(run, level, Said::Start);
    take(run, level, Said::Up(facts(KVM_SIGNATURE)));
    take(run, level, Said::Disk { read: 1, wrote: 2 });
}

#[test]
fn a_run_passes_when_the_last_level_was_verified() {
    let mut run = Run::new(2, Some("QEMU TCG"));
    take(&mut run, 0, Said::Start);
    take(&mut run, 0, Said::Up(facts("TCGTCGTCGTCG")));
    pass(&mut run, 1);
    pass(&mut run, 2);
    assert!(!run.passed());
    take(&mut run, 2, Said::Done);
    take(&mut run, 1, Said::Done);
    run.end();
    assert!(run.passed());
    assert_eq!(run.failure(), None);
    insta::assert_snapshot!(run.table(), @r"
    level  run by       kernel  CPU   nesting  disk  to /init
    0      QEMU TCG     6.1.0   EPYC  SVM NPT  -     3.2 s
    1      nvmm on KVM  6.1.0   EPYC  SVM NPT  ok    3.2 s
    2      nvmm on KVM  6.1.0   EPYC  SVM NPT  ok    3.2 s
    ");
}

#[test]
fn the_first_failure_is_told_with_its_console() {
    let mut run = Run::new(2, None);
    take(&mut run, 1, Said::Start);
    for line in 0..TAIL + 1 {
        take(&mut run, 1, Said::Text(format!("line {line}\x1b[2J")));
    }
    assert_eq!(take(&mut run, 1, Said::Fail("no SVM".into())).unwrap(), "level 1: failed: no SVM");
    take(&mut run, 0, Said::Fail("later".into()));
    run.end();
    let failure = run.failure().unwrap();
    assert!(failure.starts_with("level 1: no SVM\n"), "{failure}");
    assert!(failure.contains("| line 1[2J\n") && !failure.contains("| line 0"), "{failure}");
    assert!(!run.passed());
}

#[test]
fn ending_or_hanging_early_says_where() {
    let failure = |steps: &dyn Fn(&mut Run)| {
        let mut run = Run::new(2, None);
        take(&mut run, 0, Said::Up(facts("")));
        steps(&mut run);
        run.time_out(Duration::from_secs(9));
        run.failure().unwrap()
    };
    assert_eq!(
        failure(&|run| drop(take(run, 1, Said::Start))),
        "level 1: timed out before its kernel ran /init, 9 s after the start"
    );
    assert_eq!(
        failure(&|run| pass(run, 1)),
        "level 1: timed out before it started the next level, 9 s after the start"
    );
    assert_eq!(failure(&|run| run.end()), "level 0: ended before it started the next level");
    let mut emulated = Run::new(2, Some("Bochs"));
    emulated.end();
    assert_eq!(emulated.failure().unwrap(), "level 0: ended before its kernel ran /init");
}

#[test]
fn a_level_that_does_not_run_on_kvm_proves_nothing() {
    let mut run = Run::new(1, None);
    take(&mut run, 1, Said::Up(facts("TCGTCGTCGTCG")));
    take(&mut run, 1, Said::Done);
    assert!(!run.passed());
    assert_eq!(run.failure().unwrap(), r#"level 1: it runs on "TCGTCGTCGTCG" by CPUID, not on KVM"#);
}

#[test]
fn levels_beyond_the_last_are_not_believed() {
    let mut run = Run::new(1, None);
    assert_eq!(take(&mut run, 2, Said::Done), None);
    assert!(!run.passed());
}
