use super::*;
use crate::nest::explain::recorded::{SVM, VMX, looks};

/// The cost of `work` by the counts of the recorded SVM host.
fn svm(work: Work) -> Cost {
    recorded(SVM, true, work)
}

/// The cost of `work` by the counts of a recorded host.
fn recorded(text: &str, is_svm: bool, work: Work) -> Cost {
    let looks = looks(text);
    let span = |place: usize| looks[place + 1].without(&looks[place]);
    let place = Work::ALL.iter().position(|each| *each == work).unwrap();
    let counts = span(place).without(&span(0));
    Cost::traced(work, 0, false, &counts, &Names::parse(SVM, is_svm), &Symbols::default()).unwrap()
}

fn exits(cost: &Cost, level: u32, reason: &str) -> f64 {
    let reason = cost.reasons.iter().find(|each| each.level == Some(level) && each.reason == reason);
    reason.map_or(0.0, |reason| reason.exits)
}

#[test]
fn a_cpuid_of_level_2_is_taken_apart() {
    let cost = svm(Work::Cpuid);
    assert!((1800..=2000).contains(&cost.measured), "{cost:?}");
    // The exit itself, and for the entry after it: VMLOAD twice, VMSAVE, VMRUN, and a read of DEBUGCTL.
    let wanted =
        [(2, "cpuid", 1.0), (1, "vmload", 2.0), (1, "vmsave", 1.0), (1, "vmrun", 1.0), (1, "msr", 1.0)];
    for (level, reason, wanted) in wanted {
        let found = exits(&cost, level, reason);
        assert!((found - wanted).abs() < 0.15, "{reason}: {cost:?}");
    }
    assert!((6.0..6.5).contains(&cost.exits), "{cost:?}");
    let [msr] = cost.msrs.as_slice() else { panic!("{cost:?}") };
    assert_eq!((msr.number, msr.write), (0x1d9, false));
    assert_eq!(cost.places.len(), 5);
    assert!(
        cost.places.iter().all(|place| place.address.starts_with("0xffffffff") && place.function.is_none())
    );
}

#[test]
fn with_shadow_vmcs_a_cpuid_of_level_2_reads_one_field() {
    let cost = recorded(VMX, false, Work::Cpuid);
    assert!((1950..=2000).contains(&cost.measured), "{cost:?}");
    // The VMREAD is for a field that KVM does not shadow.
    for (level, reason) in [(2, "cpuid"), (1, "vmread"), (1, "vmresume"), (1, "msr_read")] {
        let found = exits(&cost, level, reason);
        assert!((0.95..1.15).contains(&found), "{reason}: {cost:?}");
    }
    assert!((4.0..4.6).contains(&cost.exits), "{cost:?}");
    let ports = recorded(VMX, false, Work::Ports);
    assert_eq!((ports.measured, exits(&ports, 2, "io_instruction")), (500, 1.0));
    // From the VMM back into KVM, level 1 saves and loads more.
    assert!(
        exits(&ports, 1, "vmlaunch") + exits(&ports, 1, "vmptrld") + exits(&ports, 1, "vmread") >= 1.0,
        "{ports:?}"
    );
}

#[test]
fn a_port_read_costs_more_than_a_cpuid() {
    let [cpuid, ports] = [Work::Cpuid, Work::Ports].map(svm);
    assert_eq!(ports.measured, 500);
    assert!(ports.exits > cpuid.exits, "{ports:?}");
    // Its VMM's thread gives up the state that svm_prepare_switch_to_guest saves.
    assert!(exits(&ports, 1, "vmsave") > exits(&cpuid, 1, "vmsave"), "{ports:?}");
}

#[test]
fn unseen_work_has_no_cost() {
    let names = Names::parse(SVM, true);
    let none = Cost::traced(Work::Cpuid, 0, false, &Counts::default(), &names, &Symbols::default());
    assert_eq!(none, None);
    // With VMX's names, the numbers have other meanings.
    let looks = looks(SVM);
    let counts = looks[2].without(&looks[1]);
    let names = Names::parse(SVM, false);
    assert_eq!(Cost::traced(Work::Cpuid, 0, false, &counts, &names, &Symbols::default()), None);
}

#[test]
fn the_last_level_right_above_is_no_hypervisor() {
    let counts = Counts { exits: [((0x72, 0x1000), 90), ((0x60, 0x2000), 9)].into(), ..Counts::default() };
    let cost =
        Cost::traced(Work::Cpuid, 1, true, &counts, &Names::parse(SVM, true), &Symbols::default()).unwrap();
    assert_eq!((cost.measured, cost.exits, cost.places.len()), (90, 1.1, 0));
    assert_eq!((exits(&cost, 2, "cpuid"), exits(&cost, 2, "interrupt")), (1.0, 0.1));
}

#[test]
fn statistics_tell_reasons_alone() {
    let counters = [("exits", 13_000), ("io_exits", 4000), ("halt_exits", 10), ("nested_run", 2000)];
    let counters: Counters = counters.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
    let cost = Cost::counted(Work::Cpuid, &counters).unwrap();
    assert_eq!((cost.measured, cost.exits), (2000, 6.5));
    assert_eq!(cost.reasons, [Reason { level: None, reason: "io".into(), exits: 2.0 }]);
    assert_eq!(Cost::counted(Work::Cpuid, &Counters::new()), None);
    assert_eq!(Cost::counted(Work::Ended, &counters), None);
}

#[test]
fn a_cost_fits_into_a_line_of_the_console() {
    let reason = |number| format!("reason {number}");
    let number = |number: usize| u32::try_from(number).unwrap();
    let (exits, times) = (1234.5, 1234.5);
    let cost = Cost {
        work: Work::Cpuid,
        measured: u64::MAX,
        exits,
        reasons: (0..ROWS).map(|at| Reason { level: Some(8), reason: reason(at), exits }).collect(),
        places: (0..ROWS)
            .map(|at| Place {
                address: format!("{:#x}", u64::MAX),
                function: Some("f".repeat(100)),
                reason: reason(at),
                exits,
            })
            .collect(),
        msrs: (0..ROWS).map(|at| Access { number: u32::MAX - number(at), write: true, times }).collect(),
        ports: (0..ROWS).map(|at| Access { number: number(at), write: true, times }).collect(),
        parameters: [("enable_shadow_vmcs".into(), "Y".into())].into(),
        advice: vec![],
    };
    let line = serde_json::to_string(&cost).unwrap();
    assert!(line.len() < 4000, "{}", line.len());
}
