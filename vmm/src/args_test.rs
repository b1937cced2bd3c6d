use super::*;
use crate::cli::Cli;

#[test]
fn defaults_are_what_a_command_line_without_words_gives() {
    let parsed = Cli::of(&["nvmm".into()]).unwrap().machine;
    assert_eq!(format!("{:?}", MachineArgs::default()), format!("{parsed:?}"));
}
