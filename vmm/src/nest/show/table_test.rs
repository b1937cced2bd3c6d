use super::super::tests::{failed, passed, skipped};
use super::*;

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_wide_table_has_everything() {
    let expected = "\
level  run by        kernel                CPU                        nesting  to /init    KVM  entry  disk            exits  status
0      this machine  6.1.0-56-cloud-amd64  Intel Xeon Platinum 8375C  VMX EPT         -      -  0.4 s  -             146,200  passed
1      nvmm on KVM   6.1.0-56-cloud-amd64  Intel Xeon Platinum 8375C  VMX EPT     1.2 s  0.2 s  0.5 s  839/419 MB/s   90,001  passed
2      nvmm on KVM   6.1.0-56-cloud-amd64  Intel Xeon Platinum 8375C  none        1.6 s      -      -  ok                  -  passed
exits of level 1: 146,200: io 80,000, halt 3,000, mmio 900, nested entries 51,234
exits of level 2: 90,001: io 70,000, halt 12
";
    assert_eq!(table(&passed(), None, false), expected);
}

#[test]
fn a_failure_shows_how_far_each_level_came() {
    let expected = "\
level  run by       CPU                        nesting  to /init    KVM  entry  disk    exits  status
0      QEMU TCG     Intel Xeon Platinum 8375C  VMX EPT     0.3 s      -  0.1 s  -     146,200  cut off
1      nvmm on KVM  Intel Xeon Platinum 8375C  VMX EPT     1.2 s  0.2 s  0.5 s  ok     90,001  cut off
2      nvmm on KVM  -                          -               -      -      -  -           -  FAILED
3      nvmm on KVM  -                          -               -      -      -  -           -  not reached
";
    let text = table(&failed(), Some(120), false);
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn every_width_is_kept_and_the_least_important_goes_first() {
    for record in [passed(), failed(), skipped()] {
        let all = table(&record, None, false);
        for width in (26..160).rev() {
            let text = table(&record, Some(width), false);
            assert!(widest(&text) <= width, "{width}:\n{text}");
            assert_eq!(text == all, widest(&all) <= width, "{width}:\n{text}");
            assert!(text.starts_with("level") && text.lines().next().unwrap().ends_with("status"), "{text}");
        }
    }
    let narrow = table(&passed(), Some(80), false);
    let titles: Vec<_> = narrow.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        titles,
        ["level", "CPU", "nesting", "to", "/init", "KVM", "entry", "disk", "status"],
        "{narrow}"
    );
}

#[test]
fn colour_only_marks_titles_and_statuses() {
    let plain = table(&failed(), Some(120), false);
    let coloured = table(&failed(), Some(120), true);
    assert_eq!(coloured.matches("\x1b[31mFAILED\x1b[0m").count(), 1);
    assert!(coloured.contains("\x1b[2mnot reached\x1b[0m"));
    assert!(table(&passed(), None, true).contains("\x1b[32mpassed\x1b[0m"));
    let mut stripped = coloured;
    for code in ["\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}
