use super::*;
use crate::nest::explain::recorded;

#[test]
fn a_histogram_is_read_entry_by_entry() {
    let text = "# event histogram\n#\n# trigger info: hist:keys=ecx.hex,write:vals=hitcount [active]\n#\n\n\
        { ecx: 1d9, write:          0 } hitcount:       2305\n\
        { ecx: 6e0, write:          1 } hitcount:         57  \n\nTotals:\n    Hits: 2362\n    Entries: 2\n    Dropped: 0\n";
    let found: Vec<_> = entries(text).collect();
    assert_eq!(found, [(vec!["1d9", "0"], 2305), (vec!["6e0", "1"], 57)]);
}

#[test]
fn lines_other_than_entries_are_left_out() {
    for text in ["", "{", "{ a: 1 }", "{ a: 1 } hitcount:", "{ a } hitcount: 1", "{ a: 1 } hitcount: x"] {
        assert_eq!(entries(text).count(), 0, "{text}");
    }
}

#[test]
fn exit_reasons_have_the_kernels_names() {
    let svm = Names::parse(recorded::SVM, true);
    for (reason, name) in [
        (0x72, "cpuid"),
        (0x7b, "io"),
        (0x80, "vmrun"),
        (0x82, "vmload"),
        (0x400, "npf"),
        (0x60, "interrupt"),
    ] {
        assert_eq!(svm.get(reason), name);
    }
    let vmx = Names::parse(recorded::SVM, false);
    for (reason, name) in [
        (0, "exception_nmi"),
        (10, "cpuid"),
        (23, "vmread"),
        (30, "io_instruction"),
        (52, "preemption_timer"),
    ] {
        assert_eq!(vmx.get(reason), name);
    }
    // An entry that failed.
    assert_eq!(vmx.get(0x8000_0021), "invalid_state");
    assert_eq!(vmx.get(9999), "reason 9999");
    assert_eq!(Names::parse("", true).get(1), "reason 1");
}

#[test]
fn numbers_of_the_kernels_macros_add_up() {
    assert_eq!(
        [sum(" 0x040 + 14 "), sum("7"), sum("(0x10)"), sum("-1"), sum("0xffffffff + 1")],
        [Some(0x4e), Some(7), Some(16), None, None]
    );
}
