//! Any text at all.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// The parts of XML and of this element.
const VOCABULARY: &str = "<cpu <model <vendor <topology <feature <cache <maxphysaddr <numa <domain > /> </cpu> </model> </domain> \
    mode= match= check= policy= name= level= bits= limit= sockets= cores= threads= fallback= 'custom' 'host-model' \
    'maximum' 'require' 'vmx' '3' 'emulate' 'forbid' '99999999999' qemu64 &amp; &#x0; <![CDATA[ ]]> é 🦀";

/// Words that have a meaning here, in an order that may not.
fn words() -> impl Strategy<Value = String> {
    let words: Vec<_> = VOCABULARY
        .split(' ')
        .flat_map(|word| [word.to_owned(), format!("{word} "), format!("{word}\r\n\u{3000}")])
        .collect();
    vec(select(words), 0..40).prop_map(|words| words.concat())
}

/// A file that is valid except in one place.
fn nearly_good() -> impl Strategy<Value = String> {
    let files = vec![CORE2DUO_VMX, DOMAIN, HOST_PASSTHROUGH, HOST_MODEL];
    (select(files), any::<prop::sample::Index>(), 0..4_usize, ".{0,3}").prop_map(|(file, at, cut, put)| {
        let at = at.index(file.len());
        let mut bytes = file.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(file.len()), put.into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_cpu_or_the_place_of_its_fault(text in prop_oneof![".{0,200}", words(), nearly_good()]) {
        if let Err(error) = parse(&text) {
            let lines = text.split('\n').count();
            prop_assert!((1..=lines).contains(&usize::try_from(error.line).unwrap()), "{error}");
            let line = text.split('\n').nth(usize::try_from(error.line).unwrap() - 1).unwrap();
            prop_assert!(usize::try_from(error.column).unwrap() <= line.chars().count() + 1, "{error}");
        }
    }
}
