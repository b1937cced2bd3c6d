use super::*;

#[test]
fn an_estimate_is_waited_for_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("current_clocksource");
    fs::write(&source, "tsc-early\n").unwrap();
    assert!(!settle_by(&source, Duration::ZERO));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| settle_by(&source, Duration::MAX));
        fs::write(dir.path().join("new"), "tsc\n").unwrap();
        fs::rename(dir.path().join("new"), &source).unwrap();
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn any_other_clock_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("current_clocksource");
    assert!(settle_by(&source, Duration::ZERO));
    for name in ["kvm-clock\n", "tsc\n", "hpet\n"] {
        fs::write(&source, name).unwrap();
        assert!(settle_by(&source, Duration::ZERO), "{name}");
    }
}
