use super::*;

fn topology(smp: Smp) -> [u32; 4] {
    let topology = smp.topology().unwrap();
    let json = serde_json::to_value(topology).unwrap();
    ["sockets", "dies", "cores", "threads"].map(|name| json[name].as_u64().unwrap().try_into().unwrap())
}

/// The results of QEMU 7.2 for the same numbers, from `query-hotpluggable-cpus`.
#[test]
fn missing_numbers_follow_qemus_rules() {
    let none = Smp::default();
    let cases = [
        (none, [1, 1, 1, 1]),
        (Smp { cpus: Some(4), ..none }, [1, 1, 4, 1]),
        (Smp { maxcpus: Some(4), ..none }, [1, 1, 4, 1]),
        (Smp { cpus: Some(8), threads: Some(2), ..none }, [1, 1, 4, 2]),
        (Smp { cpus: Some(8), sockets: Some(2), ..none }, [2, 1, 4, 1]),
        (Smp { cpus: Some(8), dies: Some(2), ..none }, [1, 2, 4, 1]),
        (Smp { cpus: Some(8), cores: Some(2), ..none }, [4, 1, 2, 1]),
        (Smp { cpus: Some(8), cores: Some(2), threads: Some(2), ..none }, [2, 1, 2, 2]),
        (Smp { cpus: Some(8), cores: Some(2), sockets: Some(2), ..none }, [2, 1, 2, 2]),
        (Smp { sockets: Some(2), dies: Some(3), threads: Some(2), ..none }, [2, 3, 1, 2]),
        (Smp { cpus: Some(4), clusters: Some(1), modules: Some(1), ..none }, [1, 1, 4, 1]),
    ];
    for (smp, want) in cases {
        assert_eq!(topology(smp), want, "{smp:?}");
    }
}

#[test]
fn impossible_topologies_are_named() {
    let error = |smp: Smp| smp.topology().unwrap_err().to_string();
    let four = Smp { cpus: Some(4), ..Smp::default() };
    assert_eq!(error(Smp { cpus: Some(0), ..four }), "a machine needs at least one vCPU");
    assert_eq!(error(Smp { cores: Some(0), ..four }), "cores=0: give at least 1, or leave it out");
    assert_eq!(
        error(Smp { cores: Some(3), ..four }),
        "1 socket x 1 die x 3 cores x 1 thread make 3 vCPUs, not 4"
    );
    assert_eq!(
        error(Smp { sockets: Some(8), ..four }),
        "8 sockets x 1 die x 1 core x 1 thread make 8 vCPUs, not 4"
    );
    assert_eq!(
        error(Smp { sockets: Some(1), cores: Some(1), threads: Some(1), ..four }),
        "1 socket x 1 die x 1 core x 1 thread make 1 vCPU, not 4"
    );
    assert_eq!(
        error(Smp { maxcpus: Some(8), ..four }),
        "maxcpus=8: nvmm can't add or take away vCPUs later; leave it out, or make it 4"
    );
    assert_eq!(
        error(Smp { clusters: Some(1), modules: Some(2), ..four }),
        "modules=2: nvmm has no modules; use sockets, dies, cores and threads"
    );
    let huge = Smp { sockets: Some(u32::MAX), dies: Some(u32::MAX), ..four };
    assert!(matches!(huge.topology(), Err(SmpError::Topology(CpuError::TooManyVcpus(_)))));
}

#[test]
fn a_topology_has_what_was_given() {
    let numbers = || std::iter::once(None).chain((1u32..5).map(Some));
    let pairs = || numbers().flat_map(|a| numbers().map(move |b| (a, b)));
    for ((sockets, dies), (cores, threads)) in pairs().flat_map(|a| pairs().map(move |b| (a, b))) {
        let given: u32 = [sockets, dies, cores, threads].into_iter().flatten().product();
        let all = sockets.and(cores).and(threads).is_some();
        for cpus in std::iter::once(None).chain((1..25).map(Some)) {
            let smp = Smp { cpus, sockets, dies, cores, threads, ..Smp::default() };
            let possible = cpus.is_none_or(|cpus| if all { cpus == given } else { cpus % given == 0 });
            assert_eq!(smp.topology().is_ok(), possible, "{smp:?}");
            if possible {
                let found = topology(smp);
                for (given, found) in [sockets, dies, cores, threads].into_iter().zip(found) {
                    assert_eq!(given.unwrap_or(found), found, "{smp:?}");
                }
                assert_eq!(found.iter().product::<u32>(), cpus.unwrap_or(given), "{smp:?}");
            }
        }
    }
}
