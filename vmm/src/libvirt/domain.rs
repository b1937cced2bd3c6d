//! The settings of a `<domain>` about its CPU outside of `<cpu>`: in `<features>`, and in the `<timer>`s of its `<clock>`.
//!
//! libvirt, "Domain XML format", "Hypervisor features" and "Time keeping". The rest of a domain is not read. If a setting for the CPU or a
//! timer can't be applied, there is a warning and the machine starts without it: such settings make a guest faster, or are about a device.

use arch::cpu::{feature::FeatureId, spec::Setting, spec::Want};

use super::{element::Element, error::XmlError};

/// The settings that were read.
#[derive(Debug, Default)]
pub(super) struct Domain {
    /// `<hidden state='on'/>`.
    pub(super) hide_kvm: bool,
    /// `<pmu state=''/>`.
    pub(super) pmu: Option<bool>,
    /// `<timer name='tsc' frequency=''/>`.
    pub(super) tsc_khz: Option<u32>,
    /// Settings for KVM's features.
    pub(super) settings: Vec<Setting>,
    /// The settings that can't be applied.
    pub(super) ignored: Vec<XmlError>,
}

const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];
const PRESENT: [(&str, bool); 2] = [("yes", true), ("no", false)];
/// The lowest and the highest TSC rate.
const MIN_TSC_KHZ: u32 = 1000;

/// Reads a domain's settings about its CPU besides `<cpu>`.
pub(super) fn read(domain: Element<'_>) -> Result<Domain, XmlError> {
    let mut read = Domain::default();
    if let Some(features) = domain.child("features")? {
        for feature in features.children().filter(|feature| !feature.is_foreign()) {
            read.feature(feature)?;
        }
    }
    if let Some(clock) = domain.child("clock")? {
        for timer in clock.children().filter(|child| child.name() == "timer" && !child.is_foreign()) {
            read.timer(timer)?;
        }
    }
    if read.hide_kvm {
        // They are hidden with KVM's other features, as in QEMU.
        read.settings.retain(|setting| setting.want == Want::Off);
    }
    Ok(read)
}

impl Domain {
    /// Reads an element of `<features>`.
    fn feature(&mut self, element: Element<'_>) -> Result<(), XmlError> {
        let state = |element: Element<'_>| element.choice("state", &SWITCH);
        match element.name() {
            "kvm" => {
                for child in element.children() {
                    match (child.name(), state(child)?) {
                        (_, None) => {}
                        ("hidden", Some(on)) => self.hide_kvm = on,
                        ("hint-dedicated", Some(on)) => self.set("kvm-hint-dedicated", on),
                        ("poll-control", Some(on)) => self.set("kvm-poll-control", on),
                        ("pv-ipi", Some(on)) => self.set("kvm-pv-ipi", on),
                        (_, Some(false)) => {}
                        (_, Some(true)) => self.ignore(child, "nvmm does not do that"),
                    }
                }
            }
            "pmu" => self.pmu = Some(state(element)?.unwrap_or(true)),
            "pvspinlock" => self.set("kvm-pv-unhalt", state(element)?.unwrap_or(true)),
            "apic" => {
                if let Some(on) = element.choice("eoi", &SWITCH)? {
                    self.set("kvm-pv-eoi", on);
                }
            }
            "hyperv" => {
                let mut on =
                    element.value("mode").is_some_and(|mode| mode == "passthrough" || mode == "host-model");
                for child in element.children() {
                    on |= state(child)?.unwrap_or(false);
                }
                if on {
                    self.ignore(element, "nvmm has no Hyper-V enlightenments; the guest runs without them");
                }
            }
            // It is about the machine, not about its CPU.
            _ => {}
        }
        Ok(())
    }

    fn timer(&mut self, timer: Element<'_>) -> Result<(), XmlError> {
        let present = timer.choice("present", &PRESENT)?;
        let wanted = present.unwrap_or(true);
        match timer.required("name", timer.value("name"))? {
            "tsc" => {
                self.tsc_khz = timer.value("frequency").map(|_| frequency(timer)).transpose()?;
                if timer.value("mode").is_some_and(|mode| mode != "auto" && mode != "native") {
                    self.ignore(timer, "the TSC is the processor's, or scaled by it; the guest gets it so");
                }
            }
            "kvmclock" => {
                if let Some(on) = present {
                    self.set("kvmclock", on);
                }
            }
            "hypervclock" if wanted => {
                self.ignore(timer, "nvmm has no Hyper-V clock; the guest runs without it");
            }
            "rtc" if wanted && timer.value("tickpolicy").is_some_and(|policy| policy != "delay") => {
                self.ignore(
                    timer,
                    "nvmm's real-time clock makes up for no lost ticks; the guest runs with that",
                );
            }
            "hpet" if wanted => self.ignore(timer, "nvmm has no HPET; the guest runs without it"),
            "hypervclock" | "rtc" | "hpet" => {}
            "pit" if !wanted => self.ignore(timer, "nvmm's machine has a PIT; the guest runs with it"),
            // KVM's PIT delivers late ticks, and drops none.
            "pit" if timer.value("tickpolicy").is_none_or(|policy| policy == "delay") => {}
            "pit" => {
                self.ignore(
                    timer,
                    "KVM's PIT makes up for lost ticks with a delay; the guest runs with that",
                );
            }
            _ if wanted => self.ignore(timer, "nvmm has no such timer; the guest runs without it"),
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, feature: &str, on: bool) {
        let want = if on { Want::On } else { Want::Off };
        let both = FeatureId::find(feature).map(|feature| Setting { feature, want });
        self.settings.extend(both);
    }

    fn ignore(&mut self, element: Element<'_>, why: &'static str) {
        self.ignored.push(element.refuse(why));
    }
}

/// `frequency=''` in Hz, converted to kHz.
fn frequency(timer: Element<'_>) -> Result<u32, XmlError> {
    let hz = timer.value("frequency").and_then(|hz| hz.parse::<u64>().ok());
    let khz = hz.and_then(|hz| u32::try_from(hz / 1000).ok()).filter(|khz| *khz >= MIN_TSC_KHZ);
    khz.ok_or_else(|| timer.refuse_attribute("frequency", "give a rate in Hz, from 1000000 to 4294967295999"))
}

#[cfg(test)]
#[path = "domain_test.rs"]
mod tests;
