use super::*;

/// Two sockets of a core of two threads.
const SMALL: Counts = Counts { sockets: 2, dies: 1, cores: 1, threads: 2 };

fn good() -> Vec<Place> {
    let place = |number: usize| {
        let cpus = if number < 2 { "0-1" } else { "2-3" }.to_owned();
        Place {
            package: number / 2,
            die: 0,
            core: 0,
            core_cpus: cpus.clone(),
            die_cpus: cpus.clone(),
            package_cpus: cpus.clone(),
            thread_siblings: cpus.clone(),
            siblings: 2,
            cores: 1,
            caches: vec![(1, "Data".to_owned(), cpus.clone()), (3, "Unified".to_owned(), cpus)],
        }
    };
    (0..4).map(place).collect()
}

#[test]
fn only_what_was_asked_for_passes() {
    judge(Virtualization::Vmx, SMALL, &good()).unwrap();
    judge(Virtualization::Vmx, TWO_CORES, &good()).unwrap_err();
    let wrongs: [fn(&mut Place); 8] = [
        |place| place.package = 2,
        |place| place.core = 1,
        |place| place.core_cpus = "3".to_owned(),
        |place| place.die_cpus = "3".to_owned(),
        |place| place.package_cpus = "0-3".to_owned(),
        |place| place.thread_siblings = "3".to_owned(),
        |place| place.siblings = 4,
        |place| place.cores = 2,
    ];
    for wrong in wrongs {
        let mut found = good();
        wrong(&mut found[3]);
        judge(Virtualization::Svm, SMALL, &found).unwrap_err();
    }
    let mut found = good();
    found[0].caches[1].2 = "0-3".to_owned();
    judge(Virtualization::Vmx, SMALL, &found).unwrap_err();
    judge(Virtualization::Svm, SMALL, &found).unwrap();
    found[0].caches[0].2 = "0".to_owned();
    judge(Virtualization::Svm, SMALL, &found).unwrap_err();
    found[0].caches.clear();
    judge(Virtualization::Svm, SMALL, &found).unwrap_err();
}
