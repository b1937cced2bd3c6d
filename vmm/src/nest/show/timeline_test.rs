use super::super::tests::{failed, passed, program};
use super::*;

fn doings(record: &Record, level: usize) -> Vec<(Doing, f64, f64)> {
    spans(record, &record.levels[level]).iter().map(|span| (span.doing, span.from, span.to)).collect()
}

#[test]
fn a_level_goes_from_boot_to_its_guest() {
    let record = passed();
    assert_eq!(doings(&record, 0), [(Doing::Entry, 0.0, 0.4), (Doing::Guest, 0.4, 4.6)]);
    assert_eq!(
        doings(&record, 1),
        [(Doing::Boot, 0.2, 1.4), (Doing::Kvm, 1.4, 1.6), (Doing::Entry, 1.6, 2.1), (Doing::Guest, 2.1, 4.5)]
    );
    assert_eq!(doings(&record, 2), [(Doing::Boot, 1.9, 3.5), (Doing::Work, 3.5, 4.1)]);
}

#[test]
fn the_program_has_its_part() {
    let mut record = program();
    let [boot, work] = [(Doing::Boot, 1.9, 3.5), (Doing::Work, 3.5, 3.6)];
    assert_eq!(doings(&record, 2), [boot, work, (Doing::Program, 3.6, 4.1), (Doing::Stuck, 4.1, 4.6)]);
    assert!(doings(&record, 1).iter().all(|(doing, ..)| *doing != Doing::Program));
    record.program.as_mut().unwrap().ended = None;
    assert_eq!(doings(&record, 2), [boot, work, (Doing::Stuck, 3.6, 4.6)]);
}

#[test]
fn only_the_level_to_blame_is_stuck() {
    let record = failed();
    assert_eq!(doings(&record, 1).last(), Some(&(Doing::Cut, 2.1, 60.0)));
    assert_eq!(doings(&record, 2), [(Doing::Stuck, 2.0, 60.0)]);
    assert_eq!(doings(&record, 3), []);
}

#[test]
fn times_in_a_wrong_order_make_no_negative_span() {
    let mut record = passed();
    (record.levels[1].kvm_loaded, record.levels[1].first_entry) = (Some(0.1), Some(f64::NAN));
    let spans = doings(&record, 1);
    assert_eq!(spans, [(Doing::Boot, 0.2, 1.4), (Doing::Guest, 1.4, 4.5)]);
}

#[test]
fn ticks_are_round_and_few() {
    assert_eq!(ticks(4.6), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(ticks(0.7), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
    assert_eq!(ticks(59.1), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
    assert_eq!(ticks(1800.0), [0.0, 500.0, 1000.0, 1500.0]);
    for end in [0.013, 0.08, 0.8, 1.0, 8.0, 8.1, 79.9, 123_456.0] {
        let ticks = ticks(end);
        assert!((4..=9).contains(&ticks.len()) && ticks.last() <= Some(&end), "{end}: {ticks:?}");
    }
    for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(ticks(nothing), [0.0]);
    }
}
