//! Hexadecimal numbers in files that people read.

/// Reads `0x1f`.
pub(super) fn parse(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Reads a number of 32 bits.
pub(super) fn parse_u32(text: &str) -> Option<u32> {
    parse(text)?.try_into().ok()
}

/// A number of 64 bits, for `#[serde(with = "hex::number")]`.
pub(super) mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::parse;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::cpu) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:#x}"))
    }

    pub(in crate::cpu) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom(format!("\"{text}\" is no number such as 0x1f")))
    }
}

/// MSRs by index, for `#[serde(with = "hex::msrs")]`.
pub(super) mod msrs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{parse, parse_u32};

    pub(in crate::cpu) fn serialize<S: Serializer>(
        msrs: &BTreeMap<u32, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |(index, value): (&u32, &u64)| (format!("{index:#010x}"), format!("{value:#018x}"));
        serializer.collect_map(msrs.iter().map(text))
    }

    pub(in crate::cpu) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u32, u64>, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer)?
            .iter()
            .map(|(index, value)| {
                let msr = parse_u32(index).zip(parse(value));
                msr.ok_or_else(|| D::Error::custom(format!("\"{index}\": \"{value}\" is no MSR")))
            })
            .collect()
    }
}
