use std::process::Command;

use super::*;

#[test]
fn a_program_has_one_processor_and_this_thread_keeps_its_own() {
    let before = sched_getaffinity(None).unwrap();
    let output = on_one_processor(|| Command::new("nproc").output()).unwrap();
    assert_eq!(output.stdout, b"1\n");
    let failed = on_one_processor(|| Command::new("/no/such/program").output());
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(sched_getaffinity(None).unwrap(), before);
}
