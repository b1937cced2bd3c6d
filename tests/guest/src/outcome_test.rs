use anyhow::anyhow;
use vmm::nest::report::{Line, Said};

use super::*;

#[test]
fn a_line_brings_an_outcome_over() {
    for outcome in
        [Outcome::new(SMP, Ok(())), Outcome::new(PVH, Err(anyhow!("two\n\"lines\"").context("why")))]
    {
        let line = outcome.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Outcome::from_line(&line), Some(outcome));
    }
    assert_eq!(Outcome::from_line("Linux says something"), None);
}

#[test]
fn an_outcome_survives_level_0_s_console() {
    let outcome = Outcome::new("a test", Ok(()));
    let said = Line { level: 0, said: Said::Text(outcome.to_line()) };
    let Said::Text(text) = Line::parse(said.to_string().as_bytes(), 0, 2).said else { panic!("it is text") };
    assert_eq!(Outcome::from_line(&text), Some(outcome));
}
