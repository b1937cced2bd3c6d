use anyhow::anyhow;

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
