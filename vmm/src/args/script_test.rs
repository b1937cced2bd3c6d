use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Words {
    #[command(flatten)]
    script: ScriptArgs,
    #[arg(long)]
    other: Vec<String>,
}

fn parse(words: &[&str]) -> Result<ScriptArgs, clap::Error> {
    Words::try_parse_from(["nvmm"].iter().chain(words)).map(|words| words.script)
}

#[test]
fn the_two_options_keep_their_order() {
    let words = [
        "--send",
        "a",
        "--expect=b",
        "--other",
        "x",
        "--expect",
        "c",
        "--send",
        "d",
        "--send=e",
        "--expect",
        "f",
    ];
    let script = parse(&words).unwrap();
    let expect = |text: &str| Step::Expect(text.into());
    let send = |text: &str| Step::Send(text.into());
    assert_eq!(script.steps, [send("a"), expect("b"), expect("c"), send("d"), send("e"), expect("f")]);
    assert_eq!(script.timeout, TIMEOUT);
}

#[test]
fn without_words_it_is_the_default() {
    let script = parse(&[]).unwrap();
    assert_eq!((script.steps, script.timeout), (vec![], TIMEOUT));
    let script = parse(&["--expect", "a", "--expect-timeout", "7"]).unwrap();
    assert_eq!((script.steps.len(), script.timeout), (1, 7));
    assert!(parse(&["--expect-timeout", "7"]).is_err());
}
