use super::*;

#[test]
fn every_cpu_must_have_the_same_flags() {
    let same = "processor\t: 0\nflags\t\t: fpu vmx\nvmx flags\t: ept\n\nprocessor\t: 1\nflags\t\t: fpu vmx\n";
    assert_eq!(flags(same, "flags").unwrap(), ["fpu", "vmx"].map(str::to_owned).into());
    assert_eq!(flags(same, "vmx flags").unwrap(), ["ept".to_owned()].into());
    let error = flags("flags : fpu\nflags : fpu sse\n", "flags").unwrap_err().to_string();
    assert_eq!(error, "the CPUs' flags differ: fpu; fpu sse");
}

#[test]
fn memory_from_4_gib_on_is_added_up() {
    let iomem = "00001000-0009fbff : System RAM\n  00001000-000fffff : System RAM\n\
                 e0000000-efffffff : PCI ECAM 0000\n100000000-13fffffff : System RAM\n  100000000-10fffffff : Kernel code\n";
    assert_eq!(high_ram(iomem), 1 << 30);
}
