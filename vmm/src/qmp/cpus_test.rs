use std::sync::mpsc;

use devices::threads::Role;

use super::*;

#[test]
fn paths_lead_back_to_their_vcpu() {
    for index in [0, 7, 1000] {
        assert_eq!(index_of(&path(index)), Some(index));
    }
    for other in
        ["", "/machine/vcpu[]", "/machine/vcpu[+1]", "/machine/vcpu[1", "/machine/vcpu[99999999999999999999]"]
    {
        assert_eq!(index_of(other), None, "{other}");
    }
}

#[test]
fn vcpus_have_the_ids_of_their_threads_and_their_places() {
    let (end, ended) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    // With an index that no other test's machine uses.
    let thread = threads::spawn(&Role::Vcpu(77), move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = ended.recv();
    });
    let id = told.recv().unwrap();
    let list = list(&Topology::new(2, 2, 10, 2).unwrap());
    let expected = json!({
        "cpu-index": 77,
        "qom-path": path(77),
        "thread-id": id,
        "props": {"socket-id": 1, "die-id": 1, "core-id": 8, "thread-id": 1},
        "target": "x86_64",
    });
    assert_eq!((list.as_array().unwrap().len(), &list[77]), (80, &expected));
    assert_eq!(list[78]["thread-id"], json!(0), "it has no thread");
    drop(end);
    thread.unwrap().join().unwrap();
}
