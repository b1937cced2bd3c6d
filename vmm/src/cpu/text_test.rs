use super::*;

#[test]
fn words_fill_lines() {
    let lines = fill(vec!["abcd"; 30], 20);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), 79);
    assert_eq!(fill(vec!["x".repeat(200)], 10).len(), 1);
    assert_eq!(fill(Vec::<String>::new(), 10), Vec::<String>::new());
}

#[test]
fn a_list_in_a_message_breaks_between_its_items() {
    let items: Vec<_> = (0..8).map(|number| format!("feature{number} (CPUID.01H:ECX[{number}])")).collect();
    let message = format!("--cpu X,enforce: this host cannot give {}", items.join(", "));
    let lines = list_in(80, &message);
    let lines: Vec<_> = lines.lines().collect();
    assert!(lines.len() > 2 && lines[0].len() + 6 <= 80, "{lines:?}");
    for line in &lines[1..] {
        assert!(line.starts_with("      feature") && line.len() <= 80, "{lines:?}");
    }
    let joined = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    assert_eq!(joined, message);
    assert_eq!(list_in(80, "short, and sweet"), "short, and sweet");
}

#[test]
fn labels_stand_once() {
    assert_eq!(block("needs", 7, &["a".to_owned(), "b".to_owned()]), "needs  a\n       b\n");
    assert_eq!(block("needs", 7, &[]), "");
}

#[test]
fn colour_is_around_the_text() {
    assert_eq!(Paint::COLOURED.good("runs"), "\x1b[32mruns\x1b[0m");
    assert_eq!(Paint::COLOURED.good(""), "");
    assert_eq!(Paint::PLAIN.good("runs"), "runs");
}

#[test]
fn signs_are_for_locales_that_have_them() {
    let is = |all: &str, ctype: &str, lang: &str| {
        is_utf8([all, ctype, lang].map(|value| Some(OsString::from(value)).filter(|value| value != "unset")))
    };
    assert!(is("unset", "unset", "de_DE.UTF-8"));
    assert!(is("", "C.utf8", "C"));
    assert!(is("C.UTF-8", "C", "C"));
    assert!(!is("C", "C.UTF-8", "C.UTF-8"));
    assert!(!is("unset", "unset", "de_DE.ISO-8859-1"));
    assert!(!is("unset", "unset", "unset"));
    assert_eq!(in_ascii("✓ kvm · nested ✗ name…"), "+ kvm . nested x name~");
    assert!(has_signs(&std::fs::File::open("/dev/null").unwrap()));
}
