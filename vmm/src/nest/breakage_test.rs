use super::*;

fn manifest(cmdline: &str) -> Manifest {
    Manifest { cmdline: cmdline.into(), ..Manifest::default() }
}

#[test]
fn only_the_level_named_breaks() {
    let broken = manifest("quiet nvmm.test=panic@2 nvmm.test=hang@3");
    assert_eq!([1, 2, 3].map(|level| parameters(level, &broken)), ["", "rdinit=/none", ""]);
    assert_eq!([1, 2, 3].map(|level| hangs(level, &broken)), [false, false, true]);
}

#[test]
fn a_level_can_be_given_a_wrong_tsc_rate_and_no_time_to_measure_it() {
    let broken = manifest("nvmm.test=tsc=2394240@0");
    assert_eq!([0, 1].map(|level| parameters(level, &broken)), ["tsc_early_khz=2394240", ""]);
    assert_eq!([0, 1].map(|level| hurries(level, &broken)), [true, false]);
}

#[test]
fn other_words_break_nothing() {
    for cmdline in ["", "nvmm.test=hang", "nvmm.test=hang@", "xnvmm.test=hang@1", "nvmm.test=sing@1"] {
        assert!(!hangs(1, &manifest(cmdline)) && parameters(1, &manifest(cmdline)).is_empty(), "{cmdline}");
    }
}
