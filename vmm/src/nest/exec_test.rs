use std::fs;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

#[derive(Debug, Parser)]
struct Words {
    #[command(flatten)]
    exec: ExecArgs,
}

fn parse(words: &[&str]) -> Result<ExecArgs, String> {
    let words = [&["nest"], words].concat();
    Words::try_parse_from(words).map(|words| words.exec).map_err(|error| error.to_string())
}

#[test]
fn all_words_after_exec_args_are_the_program_s() {
    for words in [
        &["-v", "--json", "x.json", "--", "--exec-args", "-"][..],
        &["--help"],
        &["a b", "", "--levels=9"],
        &[],
    ] {
        let line = [&["nvmm", "nest", "--exec", "/bin/test", "--levels", "1", "--exec-args"], words].concat();
        let line: Vec<_> = line.iter().map(OsString::from).collect();
        let Some(Command::Nest(args)) = Cli::of(&line).unwrap().command else { panic!("nest") };
        assert_eq!(args.exec.exec_args, words);
        assert_eq!(args.exec.exec.as_deref(), Some(Path::new("/bin/test")));
    }
}

#[test]
fn files_and_arguments_are_a_program_s() {
    for words in [&["--exec-args", "x"][..], &["--add", "/x"]] {
        let error = parse(words).unwrap_err();
        assert!(error.contains("--exec <FILE>"), "{error}");
    }
    let error = parse(&["--exec", "x", "--add", "tool:bin/tool"]).unwrap_err();
    assert!(error.contains("tool:bin/tool") && error.contains("HOST:/bin/tool"), "{error}");
    let args = parse(&["--exec", "x", "--add", "a:/b", "--add", "/c"]).unwrap();
    let files: Vec<_> = args.files().map(|(option, path)| (option, path.to_str().unwrap())).collect();
    assert_eq!(files, [("--exec", "x"), ("--add", "a"), ("--add", "/c")]);
}

/// A plan with this test's own binary, which is static, and another file.
fn plan(extra: u64) -> Plan {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(extra).unwrap();
    let add = format!("{}:/data/file", file.path().display());
    parse(&["--exec", "/proc/self/exe", "--add", &add, "--exec-args", "-x"]).unwrap().plan().unwrap()
}

#[test]
fn a_program_and_its_files_are_packed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "the file").unwrap();
    let add = format!("{}:/data/file", file.path().display());
    let plan = parse(&["--exec", "/proc/self/exe", "--add", &add]).unwrap().plan().unwrap();
    let archive = fs::read(plan.pack().unwrap().path()).unwrap();
    let has = |text: &str| archive.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("exec\0") && has("exec/exe\0") && has("data/file\0") && has("the file") && has("TRAILER!!!"));
    let program = plan.program().unwrap();
    assert_eq!((program.path(), program.name()), (PathBuf::from("/exec/exe"), "exe".to_owned()));
    let nothing = parse(&[]).unwrap().plan().unwrap();
    assert_eq!(nothing.program(), None);
}

#[test]
fn files_larger_than_the_level_are_refused() {
    let plan = plan(300 << 20);
    let mut manifest = Manifest { levels: 1, program: plan.program(), ..Manifest::default() };
    let refusal = plan.fit(&mut manifest, 512 << 20, true, u64::MAX).unwrap_err().to_string();
    assert!(refusal.starts_with("--memory: level 1 has 512 MiB, and needs at least "), "{refusal}");
    let first = level::config(1, &manifest).unwrap().memory.size.0;
    let refusal = plan.fit(&mut manifest, first, false, 1 << 30).unwrap_err().to_string();
    assert!(
        refusal.ends_with("and this machine has 1024; give fewer files, or a smaller --memory"),
        "{refusal}"
    );
    plan.fit(&mut manifest, first, false, 2 * first).unwrap();
    // More than the machine has, if the user requests it.
    plan.fit(&mut manifest, 4 << 30, true, 1 << 30).unwrap();
    assert_eq!(manifest.program.unwrap().first_mib, 4096);
}
