use super::{super::text::WIDTH, *};
use crate::cpu::testing::{haswell, hosts, milan, resolve, sapphire_rapids};

fn seen(host: &arch::cpu::host::HostCpu, spec: &str) -> Seen {
    Seen::new(&resolve(host, spec).0, 0)
}

#[test]
fn no_bit_is_overlooked() {
    for host in [haswell(), milan()] {
        let Seen { cpuid, msrs } = seen(&host, "host-passthrough");
        for &leaf in cpuid.0.keys() {
            for register in Register::ALL {
                for bit in 0..u32::BITS {
                    let mut other = cpuid.clone();
                    *other.0.get_mut(&leaf).unwrap().get_mut(register) ^= 1 << bit;
                    // The three leaves of the brand are reported under the first.
                    let brand = BRAND.contains(&leaf.function);
                    let at = if brand { Leaf::new(BRAND[0]) } else { leaf };
                    assert_eq!(leaf_rows(&cpuid, &other, at).len(), 1, "{leaf}:{register}[{bit}]");
                    assert_eq!(leaf_rows(&other, &other, at), []);
                }
            }
        }
        for (&index, &value) in &msrs {
            for bit in 0..u64::BITS {
                let rows = msr_row(index, Some(value), Some(value ^ 1 << bit));
                assert_eq!(rows.len(), 1, "MSR {index:#x}[{bit}]");
            }
        }
    }
}

#[test]
fn equal_cpus_have_no_difference() {
    for host in hosts() {
        let one = seen(&host, "host-passthrough");
        assert_eq!(rows(&one, &seen(&host, "max")), []);
        assert_eq!(text(["a", "b"], &[], Paint::PLAIN), "");
    }
}

#[test]
fn features_differ_by_name() {
    let host = haswell();
    let rows = rows(&seen(&host, "host-passthrough"), &seen(&host, "host-passthrough,-movbe,-vmx-ept"));
    let find = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}: {rows:#?}"));
        (row.place.as_str(), row.a.as_str(), row.b.as_str())
    };
    assert_eq!(find("movbe"), ("CPUID.01H:ECX[22]", "yes", "no"));
    assert_eq!(find("vmx-ept"), ("MSR(48BH)[1]", "either", "always 0"));
    assert_eq!(find("vmx-invept"), ("MSR(48CH)[20]", "yes", "no"));
    assert!(rows.iter().all(|row| row.name == "movbe" || row.place.starts_with("MSR(48")), "{rows:#?}");
}

#[test]
fn hosts_differ_in_words() {
    let rows = rows(&seen(&sapphire_rapids(), "host"), &seen(&milan(), "host"));
    assert_eq!(rows[0], Row::new("CPUID.00H", "vendor", "GenuineIntel", "AuthenticAMD"));
    let text = text(["one", "two"], &rows, Paint::PLAIN);
    for line in [
        "A  one",
        "    B  family 25, model 1, stepping 1 (0xa00f11)",
        "MSR(3AH)                       IA32_FEATURE_CONTROL                0x5                     -",
    ] {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(text.lines().any(|other| words(other) == words(line)), "{line}\n{text}");
    }
    assert!(text.ends_with(&format!("{} differences\n", rows.len())));
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}
