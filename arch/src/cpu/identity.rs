//! The identity of a CPU, where the user gives it and not the model: QEMU's `vendor`, `family`, `model`, `stepping`, `model-id`, and the
//! number of leaves: `level` and `xlevel`.

use std::fmt;

use super::{
    brand::{self, BRAND},
    cpuid::{Cpuid, EXTENDED, HYPERVISOR, Leaf, Register},
    error::SpecError,
    field::Field,
    hex,
    patch::{self, Decision, Patch, Why},
    vendor::{Manual, Vendor},
};

/// The identity that the user gives the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The maker's name in leaf 0.
    pub vendor: Option<MakerName>,
    /// The family, its extended part added in.
    pub family: Option<u32>,
    /// The model, its extended part in front.
    pub model: Option<u32>,
    /// The stepping.
    pub stepping: Option<u32>,
    /// The brand string.
    pub brand: Option<String>,
    /// The last basic leaf.
    pub level: Level,
    /// The last extended function.
    pub xlevel: Level,
}

/// The last leaf of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// The model's or the host's, or more if the features need more.
    #[default]
    Model,
    /// The same as [`Level::Model`], but at least this one.
    AtLeast(u32),
    /// Exactly this one. Leaves beyond it are absent, and so are the features in them.
    Exactly(u32),
}

/// The twelve letters in which a CPU names its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakerName([u8; 12]);

const VENDOR: [Register; 3] = [Register::Ebx, Register::Edx, Register::Ecx];
const FAMILY: [u32; 2] = [0, 0xff + 0xf];
const BYTE: [u32; 2] = [0, 0xff];
const STEPPING: [u32; 2] = [0, 0xf];
/// Limits of `level`: basic leaves end where the hypervisor's begin.
const LEVELS: [u32; 2] = [1, 0x3fff_ffff];
const XLEVELS: [u32; 2] = [EXTENDED, 0xbfff_ffff];

const FAMILIES: &str = "a number from 0 to 270";
const MODELS: &str = "a number from 0 to 255";
const STEPPINGS: &str = "a number from 0 to 15";
const LEAVES: &str = "a basic leaf, from 1 to 0x3fffffff";
const FUNCTIONS: &str = "an extended function, from 0x80000000 to 0xbfffffff";
const MAKERS: &str = "12 letters, such as GenuineIntel or AuthenticAMD";
const BRANDS: &str = "up to 48 ASCII letters without a comma";

impl Identity {
    /// The words that [`Identity::set`] knows.
    pub(super) const WORDS: [&str; 9] =
        ["vendor", "family", "model", "stepping", "model-id", "level", "min-level", "xlevel", "min-xlevel"];

    /// Sets the property `name`. Returns false if there is no such property here.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<bool, SpecError> {
        let number = |[least, most]: [u32; 2], allowed| {
            let value = given(name, value, allowed)?;
            let number = parse(value).filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| wrong(name, value, allowed))
        };
        match name {
            "vendor" => {
                let value = given(name, value, MAKERS)?;
                self.vendor = Some(MakerName::new(value).ok_or_else(|| wrong(name, value, MAKERS))?);
            }
            "family" => self.family = Some(number(FAMILY, FAMILIES)?),
            "model" => self.model = Some(number(BYTE, MODELS)?),
            "stepping" => self.stepping = Some(number(STEPPING, STEPPINGS)?),
            "model-id" => {
                let value = given(name, value, BRANDS)?;
                if value.len() > brand::MAX_LEN || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                    return Err(wrong(name, value, BRANDS));
                }
                self.brand = Some(value.to_owned());
            }
            "level" => self.level = Level::Exactly(number(LEVELS, LEAVES)?),
            "min-level" => self.level = self.level.at_least(number(LEVELS, LEAVES)?),
            "xlevel" => self.xlevel = Level::Exactly(number(XLEVELS, FUNCTIONS)?),
            "min-xlevel" => self.xlevel = self.xlevel.at_least(number(XLEVELS, FUNCTIONS)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The manual that the leaves follow: the one for the maker that the CPU names, or else the host's.
    pub(super) fn manual(&self, host: Manual) -> Manual {
        match self.vendor.map(|name| Vendor::named(&name.to_string())) {
            Some(Vendor::Intel | Vendor::Zhaoxin) => Manual::Intel,
            Some(Vendor::Amd | Vendor::Hygon) => Manual::Amd,
            Some(Vendor::Other) | None => host,
        }
    }

    /// Returns whether the user gives the last leaf of a range.
    pub(super) fn ends_a_range(&self) -> bool {
        [self.level, self.xlevel].iter().any(|level| matches!(level, Level::Exactly(_)))
    }

    /// Names the word, `level` or `xlevel`, by which the user leaves a leaf out.
    pub(super) fn hides(&self, function: u32) -> Option<&'static str> {
        let (level, word) = match function {
            0..HYPERVISOR => (self.level, "level"),
            EXTENDED..0xc000_0000 => (self.xlevel, "xlevel"),
            _ => return None,
        };
        matches!(level, Level::Exactly(last) if function > last).then_some(word)
    }

    /// The last leaves of both ranges, given those of the model or the host.
    pub(super) fn levels(&self, [level, xlevel]: [u32; 2]) -> [u32; 2] {
        let brand = if self.brand.is_some() { BRAND[2] } else { 0 };
        [self.level.of(level), self.xlevel.of(xlevel.max(brand))]
    }

    /// Sets the last leaves, and removes those beyond them.
    pub(super) fn limit(&self, cpuid: &mut Cpuid, decisions: &mut Vec<Decision>) {
        let last = [LEVEL, XLEVEL].map(|field| field.get(cpuid));
        let [level, xlevel] = self.levels(last);
        let mut patches = vec![asked(LEVEL, level)];
        if cpuid.0.contains_key(&XLEVEL.leaf) || xlevel > EXTENDED {
            patches.push(asked(XLEVEL, xlevel));
        }
        patch::apply(cpuid, &patches, decisions);
        // A model's last leaves are set already.
        let given = [self.level, self.xlevel].map(|level| level != Level::Model);
        for (patch, _) in patches.iter().zip(given).filter(|(_, given)| *given) {
            let decision = patch.apply(cpuid);
            if !decisions.iter().any(|other| other.place == decision.place) {
                decisions.push(decision);
            }
        }
        if self.ends_a_range() {
            cpuid.0.retain(|leaf, _| self.hides(leaf.function).is_none());
        }
    }

    /// Writes the CPU's identity.
    pub(super) fn write(&self, cpuid: &mut Cpuid, decisions: &mut Vec<Decision>) {
        let mut patches = Vec::new();
        if let Some(MakerName(name)) = self.vendor {
            let (words, _) = name.as_chunks();
            // AMD repeats the name in the extended range, as QEMU does for every CPU. Intel leaves it blank there.
            let repeated = cpuid.get(Leaf::new(EXTENDED)).ebx != 0;
            for function in [0, EXTENDED].into_iter().filter(|function| *function == 0 || repeated) {
                let fields = VENDOR.map(|register| Field::new(function, register, 31, 0, "maker"));
                patches.extend(
                    fields
                        .into_iter()
                        .zip(words)
                        .map(|(field, word)| asked(field, u32::from_le_bytes(*word))),
                );
            }
        }
        let old = cpuid.get(Leaf::new(1)).eax;
        let mut signature = old;
        if let Some(family) = self.family {
            let (base, extended) = if family > 15 { (15, family - 15) } else { (family, 0) };
            signature = signature & !0x0ff0_0f00 | base << 8 | extended << 20;
        }
        if let Some(model) = self.model {
            signature = signature & !0x000f_00f0 | (model & 0xf) << 4 | model >> 4 << 16;
        }
        if let Some(stepping) = self.stepping {
            signature = signature & !0xf | stepping;
        }
        if signature != old {
            patches.push(asked(SIGNATURE, signature));
            // Likewise, only if it is repeated there.
            if cpuid.get(SIGNATURE_AGAIN.leaf).eax == old {
                patches.push(asked(SIGNATURE_AGAIN, signature));
            }
        }
        if let Some(brand) = &self.brand
            && self.hides(BRAND[2]).is_none()
        {
            for (leaf, registers) in brand::leaves(brand) {
                let field = |register| Field { leaf, ..Field::new(0, register, 31, 0, "brand string") };
                let patch = |register| asked(field(register), registers.get(register));
                patches.extend(Register::ALL.map(patch));
            }
        }
        patch::apply(cpuid, &patches, decisions);
    }
}

const LEVEL: Field = Field::new(0, Register::Eax, 31, 0, "maximum basic leaf");
const XLEVEL: Field = Field::new(EXTENDED, Register::Eax, 31, 0, "maximum extended function");
const SIGNATURE: Field = Field::new(1, Register::Eax, 31, 0, "signature");
const SIGNATURE_AGAIN: Field = Field::new(EXTENDED + 1, Register::Eax, 31, 0, "signature");

fn asked(field: Field, value: u32) -> Patch {
    Patch { field, value, why: Why::Feature }
}

impl Level {
    /// Raises the level. An exact `level` stays as it is, as in QEMU.
    fn at_least(self, least: u32) -> Self {
        if matches!(self, Self::Exactly(_)) { self } else { Self::AtLeast(least) }
    }

    fn of(self, last: u32) -> u32 {
        match self {
            Self::Model => last,
            Self::AtLeast(least) => last.max(least),
            Self::Exactly(last) => last,
        }
    }
}

impl MakerName {
    /// A name of twelve letters.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        name.as_bytes().try_into().ok().filter(|_| printable).map(Self)
    }
}

impl fmt::Display for MakerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

/// Writes the identity as words of `--cpu`, each behind a comma.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, family, model, stepping, brand, level, xlevel } = self;
        if let Some(vendor) = vendor {
            write!(f, ",vendor={vendor}")?;
        }
        for (name, number) in [("family", family), ("model", model), ("stepping", stepping)] {
            if let Some(number) = number {
                write!(f, ",{name}={number}")?;
            }
        }
        if let Some(brand) = brand {
            write!(f, ",model-id={brand}")?;
        }
        for (name, level) in [("level", level), ("xlevel", xlevel)] {
            match level {
                Level::Model => {}
                Level::AtLeast(least) => write!(f, ",min-{name}={least:#x}")?,
                Level::Exactly(last) => write!(f, ",{name}={last:#x}")?,
            }
        }
        Ok(())
    }
}

/// Parses a number, in hexadecimal if it begins with `0x`.
fn parse(text: &str) -> Option<u32> {
    hex::parse_u32(text).or_else(|| text.parse().ok())
}

fn given<'a>(name: &str, value: Option<&'a str>, allowed: &'static str) -> Result<&'a str, SpecError> {
    value.ok_or_else(|| SpecError::NoValue { name: name.to_owned(), allowed })
}

fn wrong(name: &str, value: &str, allowed: &'static str) -> SpecError {
    SpecError::Value { name: name.to_owned(), value: value.to_owned(), allowed }
}

#[cfg(test)]
#[path = "identity_test.rs"]
mod tests;
