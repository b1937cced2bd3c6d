use std::fs;

use super::{
    super::testing::{contents, vars},
    *,
};
use crate::testing::said_by;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn the_last_contents_are_in_the_file_when_it_has_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = vars(&folder);
    let saver = Saver::start(file).unwrap();
    assert_eq!(saver.finish(Duration::ZERO), None);
    for mark in 0..50 {
        saver.save(contents(mark));
    }
    assert_eq!(saver.finish(LONG), None);
    assert_eq!(fs::read(&path).unwrap(), contents(49));
    saver.save(contents(50));
    assert_eq!(saver.finish(LONG), None);
    assert_eq!(fs::read(&path).unwrap(), contents(50));
}

#[test]
fn a_dropped_saver_writes_pending_data() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = vars(&folder);
    let saver = Saver::start(file).unwrap();
    let shared = Arc::clone(&saver.shared);
    saver.save(contents(7));
    drop(saver);
    let idle = shared.changed.wait_while(shared.lock(), |state| state.writes || state.next.is_some());
    drop(idle.unwrap());
    assert_eq!(fs::read(&path).unwrap(), contents(7));
}

#[test]
fn a_file_that_cannot_be_written_is_logged_once_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, path) = vars(&folder);
    let mut failed = false;
    for mark in [1, 4] {
        // A directory blocks the name of the new file.
        let in_the_way = folder.path().join(".vars.fd.new");
        fs::create_dir(&in_the_way).unwrap();
        let before = fs::read(&path).unwrap();
        let said = said_by(|| {
            for mark in [mark, mark + 1] {
                write(&mut file, &contents(mark), &mut failed);
            }
        });
        let [said] = said.try_into().unwrap();
        assert!(said.contains("vars.fd: can't write: "), "{said}");
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_dir(&in_the_way).unwrap();
        let said = said_by(|| write(&mut file, &contents(mark + 2), &mut failed));
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(fs::read(&path).unwrap(), contents(mark + 2));
    }
}
