use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{facts::Facts, judge::judge, report::Severity};

const SUBJECTS: [&str; 7] = ["level", "cpu", "linux", "kvm", "nesting", "proof", "advisory"];
const MAKERS: [(&str, char); 4] = [("ok(", '✓'), ("info(", '·'), ("warning(", '!'), ("problem(", '✗')];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The ids of findings in the manual, each with its mark.
fn listed() -> BTreeMap<String, char> {
    let page = fs::read_to_string(root().join("resources/manual/check.md")).unwrap();
    let (_, section) = page.split_once("## The findings\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut listed = BTreeMap::new();
    for (id, rest) in rows {
        let (mark, meaning) = rest.split_once(" | ").unwrap();
        assert!(meaning.trim_end_matches('|').trim().len() > 5, "{id} has no meaning");
        let before = listed.insert(id.to_owned(), mark.parse().unwrap());
        assert_eq!(before, None, "{id} is there twice");
    }
    listed
}

/// The ids of findings in the code, each with the mark of the function that makes it.
fn made() -> BTreeMap<String, char> {
    let mut made = BTreeMap::new();
    for entry in fs::read_dir(root().join("vmm/src/check/judge")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("_test.rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let parts: Vec<_> = text.split('"').collect();
        for pair in parts.windows(2) {
            let [before, id] = pair else { unreachable!() };
            let is_name = |name: &str| {
                !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
            };
            let subject = id.split_once('.').filter(|(_, name)| is_name(name) && !name.ends_with('-'));
            if !subject.is_some_and(|(subject, _)| SUBJECTS.contains(&subject)) {
                continue;
            }
            let maker = MAKERS.iter().find(|(maker, _)| before.trim_end().ends_with(maker));
            // The advisories stand in a table.
            let mark = maker.map_or('!', |(_, mark)| *mark);
            assert!(maker.is_some() || before.trim_end().ends_with("id:"), "{id}");
            assert_eq!(*made.entry((*id).to_owned()).or_insert(mark), mark, "{id}");
        }
    }
    made
}

#[test]
fn the_manual_lists_every_finding() {
    let (listed, made) = (listed(), made());
    assert!(made.len() > 40, "{made:?}");
    assert_eq!(listed, made);
}

/// The search in the code misses no id that recorded hosts get.
#[test]
fn recorded_hosts_have_no_other_findings() {
    let listed = listed();
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(root().join("resources/check")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let facts: Facts = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for finding in judge(&facts).findings {
            let mark = match finding.severity {
                Severity::Ok => '✓',
                Severity::Info => '·',
                Severity::Warning => '!',
                Severity::Problem => '✗',
            };
            assert_eq!(listed.get(finding.id), Some(&mark), "{}: {}", path.display(), finding.id);
            seen.insert(finding.id);
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}
