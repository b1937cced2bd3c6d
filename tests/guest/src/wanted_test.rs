use super::*;

fn chosen(part: Option<&str>) -> Vec<String> {
    let planned = ["L1 has two cores", "L1 by OVMF to a shell"].map(str::to_owned).to_vec();
    Wanted::choose(planned, &["L1 by OVMF to a login"], part).into_names().into_iter().collect()
}

#[test]
fn long_tests_run_only_when_they_are_named() {
    assert_eq!(chosen(None), ["L1 by OVMF to a shell", "L1 has two cores"]);
    assert_eq!(chosen(Some("by OVMF")), ["L1 by OVMF to a login", "L1 by OVMF to a shell"]);
    assert_eq!(chosen(Some("a login")), ["L1 by OVMF to a login"]);
    assert_eq!(chosen(Some("nothing like it")), [""; 0]);
}

#[test]
fn a_test_with_many_outcomes_runs_for_one_of_them() {
    let wanted = Wanted::choose(vec!["one".to_owned()], &[], None);
    assert!(wanted.any(&["two", "one"]));
    assert!(!wanted.any(&["two", "on"]));
}

#[test]
fn the_file_has_a_line_for_each() {
    let wanted = Wanted::choose(vec!["one".to_owned(), "another one".to_owned()], &[], None);
    assert_eq!(wanted.to_file(), b"another one\none\n");
}
