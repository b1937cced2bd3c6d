//! The words after the model: features, and further properties of QEMU's CPUs.

use std::str::FromStr;

use super::{CacheMode, CpuSpec, PhysicalBits, Policy, Setting, SpecError, Want};
use crate::cpu::address_width::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS};
use crate::cpu::{feature::FeatureId, identity::Identity};

/// The prefix of QEMU's enlightenments for Windows.
const HYPER_V: &str = "hv-";
/// Further properties of QEMU's x86 CPUs that are no features, including those that only QEMU itself sets. Their error says so, instead of
/// calling them unknown features.
const QEMU_ONLY: [&str; 26] = [
    "apic-id",
    "core-id",
    "cpuid-0xb",
    "crash-information",
    "die-id",
    "feature-words",
    "fill-mtrr-mask",
    "filtered-features",
    "full-cpuid-auto-level",
    "kvm-no-smi-migration",
    "lbr-fmt",
    "legacy-cache",
    "level-func7",
    "lmce",
    "memory",
    "min-xlevel2",
    "module-id",
    "node-id",
    "socket-id",
    "start-powered-off",
    "tcg-cpuid",
    "thread-id",
    "ucode-rev",
    "unavailable-features",
    "xen-vapic",
    "xlevel2",
];
/// The range of `tsc-frequency`, in words.
const FREQUENCIES: &str = "1M to 4294G, in Hz or with K, M or G";
/// The lowest rate, in kHz. The highest is the largest number of kHz that a field of 32 bits holds.
const MIN_TSC_KHZ: u32 = 1000;

impl FromStr for CpuSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut words = text.split(',');
        let mut spec = Self { model: words.next().unwrap_or_default().parse()?, ..Self::default() };
        for word in words {
            spec.add(word, text)?;
        }
        Ok(spec)
    }
}

impl CpuSpec {
    fn add(&mut self, word: &str, whole: &str) -> Result<(), SpecError> {
        let (signed, name) = match word.split_at_checked(1) {
            Some(("+", name)) => (Some("on"), name),
            Some(("-", name)) => (Some("off"), name),
            _ => (None, word),
        };
        if name.is_empty() {
            return Err(SpecError::Empty(whole.to_owned()));
        }
        let (name, value) = match signed {
            // A sign is meant for features, but QEMU also takes it for a property that is on or off.
            Some(value) => (name, Some(value)),
            None => name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))),
        };
        // QEMU takes `_` for `-` in names.
        let name = name.replace('_', "-");
        if self.set(&name, value)? || self.identity.set(&name, value)? {
            return Ok(());
        }
        if name.starts_with(HYPER_V) {
            return match value {
                Some(value) if switch(&name, value) == Ok(false) => Ok(()),
                _ => Err(SpecError::HyperV(name)),
            };
        }
        if QEMU_ONLY.contains(&name.as_str()) || name.starts_with("x-") {
            return Err(SpecError::QemuOnly(name));
        }
        let feature = feature(&name)?;
        let want = if switch(&name, value.unwrap_or("on"))? { Want::On } else { Want::Off };
        self.settings.push(Setting { feature, want });
        Ok(())
    }

    /// Sets the CPU's property `name`; returns false if there is none. A name alone means `on`, as in QEMU.
    fn set(&mut self, name: &str, value: Option<&str>) -> Result<bool, SpecError> {
        let on = || switch(name, value.unwrap_or("on"));
        match name {
            // `check` and `enforce` are two switches. With `enforce` on, QEMU ignores `check`.
            "check" => match (self.policy, on()?) {
                (Policy::Enforce, _) => {}
                (_, true) => self.policy = Policy::Check,
                (_, false) => self.policy = Policy::Ignore,
            },
            "enforce" => match (self.policy, on()?) {
                (_, true) => self.policy = Policy::Enforce,
                (Policy::Enforce, false) => self.policy = Policy::Check,
                (_, false) => {}
            },
            "host-cache-info" => {
                self.caches = if on()? { CacheMode::Passthrough } else { CacheMode::Emulate };
            }
            "caches" => self.caches = if on()? { CacheMode::Model } else { CacheMode::Disable },
            "l3-cache" => self.hide_l3 = !on()?,
            "host-phys-bits" => {
                self.physical_bits = if on()? { PhysicalBits::Host } else { PhysicalBits::Model };
            }
            "host-phys-bits-limit" => {
                self.physical_bits = PhysicalBits::HostUpTo(physical_bits(name, value)?);
            }
            "phys-bits" => self.physical_bits = PhysicalBits::Fixed(physical_bits(name, value)?),
            "guest-phys-bits" => self.guest_physical_bits = Some(physical_bits(name, value)?),
            "migratable" => self.migratable = on()?,
            "kvm" => self.hide_kvm = !on()?,
            "kvm-pv-enforce-cpuid" => self.enforce_pv = on()?,
            "pmu" => self.pmu = Some(on()?),
            // QEMU has both names.
            "tsc-frequency" | "tsc-freq" => self.tsc_khz = Some(frequency(name, value)?),
            "vmware-cpuid-freq" => self.tsc_leaf = on()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn feature(given: &str) -> Result<FeatureId, SpecError> {
    FeatureId::find(given).ok_or_else(|| {
        let mut nearest = FeatureId::suggest(given);
        let properties = PROPERTIES.iter().chain(&Identity::WORDS).copied();
        let mut names = crate::suggest::nearest(given, properties);
        names.append(&mut nearest);
        names.truncate(3);
        SpecError::Feature { given: given.to_owned(), nearest: names }
    })
}

/// The properties of [`CpuSpec::set`], for suggestions.
const PROPERTIES: [&str; 14] = [
    "check",
    "enforce",
    "host-cache-info",
    "caches",
    "l3-cache",
    "host-phys-bits",
    "host-phys-bits-limit",
    "phys-bits",
    "guest-phys-bits",
    "migratable",
    "kvm-pv-enforce-cpuid",
    "pmu",
    "tsc-frequency",
    "vmware-cpuid-freq",
];

fn physical_bits(name: &str, value: Option<&str>) -> Result<u32, SpecError> {
    let value = value.unwrap_or_default();
    let bits = value.parse().ok().filter(|bits| (MIN_PHYSICAL_BITS..=MAX_PHYSICAL_BITS).contains(bits));
    bits.ok_or_else(|| SpecError::PhysicalBits { name: name.to_owned(), value: value.to_owned() })
}

/// Parses a rate into kHz: a number of Hz, or a decimal number of kHz, MHz or GHz.
fn frequency(name: &str, value: Option<&str>) -> Result<u32, SpecError> {
    let Some(value) = value else {
        return Err(SpecError::NoValue { name: name.to_owned(), allowed: FREQUENCIES });
    };
    let (number, unit) = match value.char_indices().last() {
        Some((at, 'k' | 'K')) => (&value[..at], 1_000),
        Some((at, 'm' | 'M')) => (&value[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&value[..at], 1_000_000_000),
        _ => (value, 1),
    };
    let khz = decimal(number, unit).and_then(|hz| u32::try_from(hz / 1000).ok());
    khz.filter(|khz| *khz >= MIN_TSC_KHZ).ok_or_else(|| SpecError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        allowed: FREQUENCIES,
    })
}

/// Multiplies a decimal number such as `2.5` by a unit. Digits for less than 1 Hz are ignored.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (unit == 1 && number.contains('.')) {
        return None;
    }
    let mut sum = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in part.bytes() {
        place /= 10;
        sum = sum.checked_add(u64::from(digit - b'0') * place)?;
    }
    Some(sum)
}

/// Parses QEMU's words for true and false.
pub(in crate::cpu) fn switch(name: &str, value: &str) -> Result<bool, SpecError> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(SpecError::Switch { name: name.to_owned(), value: value.to_owned() }),
    }
}
