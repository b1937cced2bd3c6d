use super::*;

fn split(line: &str) -> Result<Vec<String>, String> {
    words_of(OsStr::new(line))
        .map(|words| words.into_iter().map(|word| word.into_string().unwrap()).collect())
}

#[test]
fn a_line_as_a_shell_reads_it() {
    for (line, expected) in [
        ("qemu-system-x86_64 -m 1G", &["nvmm", "-m", "1G"][..]),
        ("/usr/libexec/qemu-kvm -m 1G", &["nvmm", "-m", "1G"]),
        ("sudo LANG=C kvm -m 1G", &["nvmm", "-m", "1G"]),
        ("-m 1G a.img", &["nvmm", "-m", "1G", "a.img"]),
        (
            "qemu-system-x86_64 \\\n  -append 'a b' \\\n  -drive \"file=a b\" # a disk",
            &["nvmm", "-append", "a b", "-drive", "file=a b"],
        ),
        ("-append \"console=ttyS0 \\\"x\\\"\"", &["nvmm", "-append", "console=ttyS0 \"x\""]),
        ("-smbios type=11,value='a$6$b$c'", &["nvmm", "-smbios", "type=11,value=a$6$b$c"]),
        ("a.img -m 1G", &["nvmm", "a.img", "-m", "1G"]),
        ("", &["nvmm"]),
    ] {
        assert_eq!(split(line).unwrap(), expected, "{line}");
    }
    for (line, expected) in [
        ("-append 'a", "a quote is not closed"),
        ("-m 1G \\", "'\\' is for a shell"),
        ("qemu-kvm -m 1G &", "'&' is for a shell"),
        ("qemu-kvm -m 1G 2>&1 | tee l", "'2>&1' is for a shell"),
        ("qemu-kvm -hda $HOME/a", "'$HOME/a' has a variable"),
        ("qemu-kvm -m $(nproc)", "a variable or a command of a shell"),
        ("qemu-kvm -m `nproc`", "a variable or a command of a shell"),
    ] {
        let why = split(line).unwrap_err();
        assert!(why.contains(expected), "{line}: {why}");
    }
}

#[test]
fn a_command_is_a_line_again() {
    let words: Vec<_> = ["nvmm", "--cmdline", "a 'b' $c", "--disk", "path=a,,b", "--balloon", "", "{a,b}"]
        .map(OsString::from)
        .into();
    let text = command(&words);
    assert_eq!(
        text,
        "nvmm \\\n    --cmdline 'a '\\''b'\\'' $c' \\\n    --disk path=a,,b \\\n    --balloon '' '{a,b}'"
    );
    let again: Vec<_> = shell_words::split(&text).unwrap().into_iter().map(OsString::from).collect();
    assert_eq!(again, words);
}
