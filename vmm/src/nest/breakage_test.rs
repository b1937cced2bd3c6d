use super::*;

fn manifest(cmdline: &str) -> Manifest {
    Manifest { cmdline: cmdline.into(), ..Manifest::default() }
}

#[test]
fn only_the_level_named_breaks() {
    let broken = manifest("quiet nvmm.test=panic@2 nvmm.test=hang@3 nvmm.test=tsc@0");
    assert_eq!([1, 2, 3].map(|level| parameters(level, &broken)), ["", "rdinit=/none", ""]);
    assert_eq!([1, 2, 3].map(|level| hangs(level, &broken)), [false, false, true]);
    assert_eq!([0, 1, 2].map(|level| misjudges_tsc(level, &broken)), [true, false, false]);
}

#[test]
fn other_words_break_nothing() {
    for cmdline in ["", "nvmm.test=hang", "nvmm.test=hang@", "xnvmm.test=hang@1", "nvmm.test=sing@1"] {
        assert!(!hangs(1, &manifest(cmdline)) && parameters(1, &manifest(cmdline)).is_empty(), "{cmdline}");
    }
}
