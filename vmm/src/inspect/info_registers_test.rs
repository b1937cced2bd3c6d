use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

use super::*;

fn data(selector: u16) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: 3,
        present: 1,
        s: 1,
        db: 1,
        g: 1,
        ..Default::default()
    }
}

fn table(base: u64, limit: u16) -> kvm_dtable {
    kvm_dtable { base, limit, ..Default::default() }
}

/// The text is QEMU 7.2's output for a vCPU in this state.
#[test]
fn a_32_bit_vcpu_is_shown_as_qemu_shows_it() {
    let general = kvm_regs {
        rax: 0x02fe_92f0,
        rbx: 0x02fe_8000,
        rcx: 0x6dbc,
        rdx: 0x1000,
        rsi: 0xffff_f000,
        rdi: 0x02fe_9350,
        rbp: 0x02fe_9348,
        rsp: 0x6d90,
        rip: 0x02fe_d3d3,
        rflags: 0x97,
        ..Default::default()
    };
    let system = kvm_sregs {
        cs: kvm_segment { selector: 8, type_: 0xb, ..data(8) },
        ds: data(0x10),
        es: data(0x10),
        fs: data(0x10),
        gs: data(0x10),
        ss: data(0x10),
        ldt: kvm_segment { limit: 0xffff, type_: 2, present: 1, ..Default::default() },
        tr: kvm_segment { limit: 0xffff, type_: 0xb, present: 1, ..Default::default() },
        gdt: table(0xf6180, 0x37),
        idt: table(0xf61be, 0),
        cr0: 0x11,
        ..Default::default()
    };
    let registers = Registers::of(general, system);
    let expected = "
CPU#0
EAX=02fe92f0 EBX=02fe8000 ECX=00006dbc EDX=00001000
ESI=fffff000 EDI=02fe9350 EBP=02fe9348 ESP=00006d90
EIP=02fed3d3 EFL=00000097 [--S-APC] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0010 00000000 ffffffff 00c09300 DPL=0 DS   [-WA]
CS =0008 00000000 ffffffff 00c09b00 DPL=0 CS32 [-RA]
SS =0010 00000000 ffffffff 00c09300 DPL=0 DS   [-WA]
DS =0010 00000000 ffffffff 00c09300 DPL=0 DS   [-WA]
FS =0010 00000000 ffffffff 00c09300 DPL=0 DS   [-WA]
GS =0010 00000000 ffffffff 00c09300 DPL=0 DS   [-WA]
LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT
TR =0000 00000000 0000ffff 00008b00 DPL=0 TSS32-busy
GDT=     000f6180 00000037
IDT=     000f61be 00000000
CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000\x20
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000000
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
FPR2=0000000000000000 0000 FPR3=0000000000000000 0000
FPR4=0000000000000000 0000 FPR5=0000000000000000 0000
FPR6=0000000000000000 0000 FPR7=0000000000000000 0000
XMM00=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000
XMM02=0000000000000000 0000000000000000 XMM03=0000000000000000 0000000000000000
XMM04=0000000000000000 0000000000000000 XMM05=0000000000000000 0000000000000000
XMM06=0000000000000000 0000000000000000 XMM07=0000000000000000 0000000000000000
";
    assert_eq!(InfoRegisters { vcpu: 0, registers: &registers }.to_string(), expected);
}

#[test]
fn a_64_bit_vcpu_has_wide_registers() {
    let general = kvm_regs {
        rax: u64::MAX,
        r8: 8,
        r15: 15,
        rip: 0xffff_ffff_8100_0000,
        rflags: 0x246,
        ..Default::default()
    };
    let user = kvm_segment { dpl: 3, ..data(0x2b) };
    let system = kvm_sregs {
        cs: kvm_segment { selector: 0x33, type_: 0xb, dpl: 3, db: 0, l: 1, ..data(0x33) },
        ss: user,
        es: kvm_segment { unusable: 1, ..Default::default() },
        tr: kvm_segment { selector: 0x40, limit: 0x67, type_: 0xb, present: 1, ..Default::default() },
        gs: kvm_segment { base: 0xffff_8880_1234_0000, ..data(0) },
        cr0: 0x8005_0033,
        cr3: 0x1_2345_6000,
        cr4: 0x3706f0,
        efer: 0xd01,
        ..Default::default()
    };
    let registers = Registers::of(general, system).halted();
    let text = InfoRegisters { vcpu: 3, registers: &registers }.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1], "CPU#3");
    assert_eq!(
        lines[2],
        "RAX=ffffffffffffffff RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000"
    );
    assert!(lines[4].starts_with("R8 =0000000000000008 R9 =0000000000000000 R10="), "{}", lines[4]);
    assert!(lines[5].ends_with(" R15=000000000000000f"), "{}", lines[5]);
    assert_eq!(lines[6], "RIP=ffffffff81000000 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=1");
    assert_eq!(lines[7], "ES =0000 0000000000000000 00000000 00000000");
    assert_eq!(lines[8], "CS =0033 0000000000000000 ffffffff 00a0fb00 DPL=3 CS64 [-RA]");
    assert_eq!(lines[12], "GS =0000 ffff888012340000 ffffffff 00c09300 DPL=0 DS   [-WA]");
    assert_eq!(lines[14], "TR =0040 0000000000000000 00000067 00008b00 DPL=0 TSS64-busy");
    assert_eq!(lines[17], "CR0=80050033 CR2=0000000000000000 CR3=0000000123456000 CR4=003706f0");
    assert_eq!(lines.last().unwrap().split(' ').next().unwrap(), "XMM14=0000000000000000");
}
