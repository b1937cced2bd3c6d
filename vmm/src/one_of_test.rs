use clap::Parser;
use devices::disk::format::Format;

use super::*;

#[derive(Debug, Parser)]
struct Options {
    #[arg(long, value_name = "raw|qcow2|vmdk", value_parser = one_of::<Format, _>(Format::ALL.map(Format::name)))]
    format: Option<Format>,
}

#[test]
fn a_name_is_a_value_and_the_others_are_listed() {
    let parse = |words: &[&str]| Options::try_parse_from(["nvmm"].iter().chain(words));
    assert_eq!(parse(&[]).unwrap().format, None);
    for format in [Format::Raw, Format::Qcow2, Format::Vmdk] {
        assert_eq!(parse(&["--format", format.name()]).unwrap().format, Some(format));
    }
    let said = parse(&["--format", "vdi"]).unwrap_err().to_string();
    assert!(said.contains("invalid value 'vdi' for '--format <raw|qcow2|vmdk>'"), "{said}");
    assert!(said.contains("[possible values: raw, qcow2, vmdk]"), "{said}");
}
