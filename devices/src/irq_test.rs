use std::thread;

use super::*;
use crate::testing::FakeLine;

#[test]
fn a_shared_line_is_high_while_any_input_is() {
    let line = Arc::new(FakeLine::default());
    let shared = SharedLine::new(line.clone());
    let (first, second) = (shared.input(), shared.input());
    first.set(true);
    first.set(true);
    second.set(true);
    assert!(line.high());
    first.set(false);
    first.set(false);
    assert!(line.high(), "the second input is high");
    second.set(false);
    assert!(!line.high());
    assert_eq!(line.take_edges(), 1, "it did not fall in between");
}

#[test]
fn an_input_that_goes_lowers_itself() {
    let line = Arc::new(FakeLine::default());
    let shared = SharedLine::new(line.clone());
    let (first, second) = (shared.input(), shared.input());
    first.set(true);
    second.set(true);
    drop(first);
    assert!(line.high());
    drop(second);
    assert!(!line.high());
}

#[test]
fn the_level_is_right_after_inputs_changed_at_once() {
    let line = Arc::new(FakeLine::default());
    let shared = SharedLine::new(line.clone());
    let kept = shared.input();
    thread::scope(|scope| {
        for _ in 0..4 {
            let input = shared.input();
            scope.spawn(move || (0..1000).for_each(|_| input.pulse()));
        }
        scope.spawn(|| kept.set(true));
    });
    assert!(line.high());
    kept.set(false);
    assert!(!line.high());
}

/// COM1 and COM3 share one edge-triggered line: an interrupt during the other's pulse would be lost.
#[test]
fn each_pulse_is_an_edge() {
    const PULSES: u32 = 20_000;
    let line = Arc::new(FakeLine::default());
    let shared = SharedLine::new(line.clone());
    thread::scope(|scope| {
        for _ in 0..4 {
            let input = shared.input();
            scope.spawn(move || (0..PULSES).for_each(|_| input.pulse()));
        }
    });
    assert_eq!(line.take_edges(), 4 * PULSES);
}
