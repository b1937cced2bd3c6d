use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn time_passes_only_while_it_goes() {
    let start = Instant::now();
    let mut clock = Clock::new(Some(10 * SECOND));
    assert_eq!(clock.end(), None);
    clock.go(true, start);
    clock.go(true, start + SECOND);
    assert_eq!(clock.end(), Some(start + 10 * SECOND));
    clock.go(false, start + 4 * SECOND);
    assert_eq!(clock.end(), None);
    clock.go(true, start + 100 * SECOND);
    assert_eq!(clock.end(), Some(start + 106 * SECOND));
    clock.restart(start + 105 * SECOND);
    assert_eq!(clock.end(), Some(start + 115 * SECOND));
    clock.go(false, start + 1000 * SECOND);
    clock.go(true, start + 1000 * SECOND);
    assert_eq!(clock.end(), Some(start + 1000 * SECOND));
}

#[test]
fn a_clock_that_is_restarted_while_it_stands_does_not_go() {
    let start = Instant::now();
    let mut clock = Clock::new(Some(10 * SECOND));
    clock.restart(start);
    assert_eq!(clock.end(), None);
    clock.go(true, start + SECOND);
    assert_eq!(clock.end(), Some(start + 11 * SECOND));
}

#[test]
fn without_a_limit_it_never_ends() {
    let mut clock = Clock::new(None);
    clock.go(true, Instant::now());
    assert_eq!(clock.end(), None);
}
