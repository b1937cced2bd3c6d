//! Random accesses without end, by the first letter of its command line: to all ports (`p`), or to configuration space, BARs and queues of
//! PCI functions (`b`); or it repeatedly sets the largest mode of a VGA (`v`). A number after the letter is the seed.
//!
//! After each round it prints `round`, and waits on COM1 for `g` to continue, or `q` to end.
//!
//! The guest avoids accesses whose purpose is to end the machine or the guest: resets, power-off, debug exit and panics. Addresses for devices are
//! in a separate arena, or where there is no memory, and interrupt messages have a masked vector.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use core::arch::asm;

use rt::{Random, pci};
use virtio::{Descriptor, Device, NEXT, QUEUE_SIZE, WRITE, descriptor};

const CMDLINE: u64 = 0x2_0000;
const COM1: u16 = 0x3f8;
const ACCESSES: u32 = 2_000;

/// Memory for devices.
const ARENA: u64 = 0x100_0000;
const ARENA_LEN: u64 = 0x4_0000;
/// The parts: the first and last buffers of requests, and command tables of SATA ports.
const HEADER: u64 = ARENA + 0x1000;
const STATUS: u64 = ARENA + 0x2000;
const TABLES: u64 = ARENA + 0x4000;
const TABLE_LEN: u64 = 0x100;

/// Commands of SATA disks and CD-ROM drives: READ and WRITE DMA EXT, queued and plain, IDENTIFY, PACKET, FLUSH CACHE, TRIM.
const COMMANDS: [u8; 9] = [0x25, 0x35, 0x60, 0x61, 0xec, 0xa1, 0xa0, 0xea, 0x06];

const VIRTIO: u16 = 0x1af4;
const AHCI: u32 = 0x01_0601;
const VGA: u32 = 0x03_0000;
const FUNCTIONS: usize = 12;
/// The number of queues that are used of each device.
const QUEUES: u16 = 4;

/// Ports with devices, with their counts.
const PORTS: [(u64, u64); 19] = [
    (0x20, 2),
    (0x40, 4),
    (0x60, 5),
    (0x70, 2),
    (0x92, 1),
    (0xa0, 2),
    (0x1ce, 3),
    (0x2e8, 8),
    (0x2f8, 8),
    (0x3b0, 12),
    (0x3c0, 32),
    (0x3e8, 8),
    (0x3f8, 8),
    (0x402, 1),
    (0x505, 1),
    (0x510, 12),
    (0x520, 4),
    (0x600, 12),
    (0xcf8, 8),
];

extern "C" fn guest_main() -> u32 {
    let mut at = CMDLINE + 1;
    let mut seed = 0;
    while let digit @ b'0'..=b'9' = rt::read::<u8>(at) {
        seed = seed * 10 + u64::from(digit - b'0');
        at += 1;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
    match rt::read::<u8>(CMDLINE) {
        b'p' => {
            set_mode();
            rounds(|| (0..ACCESSES).for_each(|_| port(&mut random)))
        }
        b'v' => {
            let video = pci::bar(1, 0);
            let mut modes = 0;
            rounds(|| {
                // The first round only touches video memory.
                touch(video);
                (0..modes).for_each(|_| set_mode());
                modes = 8;
            })
        }
        _ => functions(&mut random),
    }
}

fn rounds(mut round: impl FnMut()) -> u32 {
    loop {
        round();
        // The port in its initial state, with nothing in it.
        for (register, value) in [(3, 3), (1, 0), (2, 0), (4, 0)] {
            rt::outb(COM1 + register, value);
        }
        while rt::inb(COM1 + 5) & 1 != 0 {
            rt::inb(COM1);
        }
        print!("\nround\n");
        while rt::inb(COM1 + 5) & 1 == 0 {}
        if rt::inb(COM1) == b'q' {
            return 0;
        }
    }
}

/// Writes to each page of video memory, so that the host has allocated all of it.
fn touch(video: u64) {
    (0..16 << 20).step_by(4096).for_each(|page| rt::write(video + page, 1_u8));
}

/// Sets the largest mode, whose 16 MiB are cleared.
fn set_mode() {
    for (index, value) in [(4, 0), (1, 2048), (2, 2048), (3, 32), (4, 0x41)] {
        rt::outw(0x1ce, index);
        rt::outw(0x1cf, value);
    }
}

fn port(random: &mut Random) {
    let (choice, place, value) = (random.next(), random.next(), random.next() as u32);
    let (first, len) = PORTS[(choice >> 16) as usize % PORTS.len()];
    let port = if choice & 0xf == 0 { place as u16 } else { (first + place % len) as u16 };
    let (len, is_write) = (1_u16 << (choice >> 8) % 3, choice >> 12 & 1 != 0);
    let reaches = |other: u16| port <= other && other - port < len;
    let value = match port {
        // Only the header of configuration space, without the registers that send interrupts.
        0xcf8 if len == 4 => value & 0x8000_f83c,
        // Clear the bits that would reset the machine, power it off or report a panic.
        0x92 | 0x505 if len == 1 => value & !0b101,
        0x604 if len == 2 => value & !(1 << 13),
        // The keyboard controller's commands that pull the reset line, or make the next byte do that.
        0x64 if len == 1 && matches!(value as u8, 0xd1 | 0xf0..) => return,
        _ if [0x64, 0x92, 0x505, 0x604, 0x605, 0xcf9].into_iter().any(reaches) && is_write => return,
        // The VM generation ID would overwrite the guest.
        0x520 if is_write => return,
        _ if (0xf4..0xf8).any(reaches) => return,
        _ => value,
    };
    rt::access_port(port, len, value, is_write);
}

/// A function with BARs, and the known facts about it.
struct Target {
    device: u8,
    class: u32,
    is_disk: bool,
    /// The queues, if it has some.
    virtqueues: Option<[Device; QUEUES as usize]>,
    /// The BARs' initial addresses. I/O BARs have bit 0 set.
    bars: [u64; 6],
    /// The common configuration and the MSI-X table: a BAR and an offset.
    common: (u8, u64),
    table: (u8, u64),
    queues: u16,
}

fn functions(random: &mut Random) -> u32 {
    let mut words = Random(random.next());
    (ARENA..ARENA + ARENA_LEN).step_by(8).for_each(|at| rt::write(at, word(&mut words)));
    let mut targets = [const { None }; FUNCTIONS];
    let found = (1..32).filter_map(Target::find);
    targets.iter_mut().zip(found).for_each(|(target, found)| *target = Some(found));
    let count = targets.iter().flatten().count();
    print!("functions ", count as u32, "\n");
    let mut indices = [[0; QUEUES as usize]; FUNCTIONS];
    rounds(|| {
        for _ in 0..ACCESSES {
            let chosen = random.next() as usize % count;
            if let Some(target) = &targets[chosen] {
                target.disturb(random, &mut indices[chosen]);
            }
        }
    })
}

/// Eight bytes that form an address in the arena or outside of memory, at any offset.
fn word(random: &mut Random) -> u64 {
    let value = random.next();
    if value & 1 != 0 { arena(value) & !0xf } else { value | 0x0100_0001_0100_0001 }
}

fn arena(value: u64) -> u64 {
    ARENA + (value >> 8) % ARENA_LEN
}

impl Target {
    fn find(device: u8) -> Option<Self> {
        let [vendor, id]: [u16; 2] = rt::read(pci::config(device, 0));
        let class = rt::read::<u32>(pci::config(device, 8)) >> 8;
        if vendor != VIRTIO && class != AHCI && class != VGA {
            return None;
        }
        // I/O, memory, bus mastering.
        rt::write(pci::config(device, 4), 7_u16);
        let bar = |n: u16| u64::from(rt::read::<u32>(pci::config(device, 0x10 + 4 * n)));
        let bars = [0, 1, 2, 3, 4, 5].map(|n| if bar(n) & 1 != 0 { bar(n) & 0xfffd } else { bar(n) & !0xf });
        let is_disk = matches!(id, 0x1001 | 0x1042);
        let mut target =
            Self { device, class, is_disk, virtqueues: None, bars, common: (0, 0), table: (6, 0), queues: 0 };
        let mut at: u8 = rt::read(pci::config(device, 0x34));
        while at != 0 {
            let field = |offset: u8| pci::config(device, u16::from(at + offset));
            match (rt::read::<u8>(field(0)), rt::read::<u8>(field(3))) {
                (0x11, _) => {
                    let table: u32 = rt::read(field(4));
                    target.table = (table as u8 & 7, u64::from(table & !7));
                }
                (9, 1) if vendor == VIRTIO => {
                    target.common = (rt::read(field(4)), rt::read::<u32>(field(8)).into());
                }
                _ => {}
            }
            at = rt::read(field(1));
        }
        if vendor == VIRTIO {
            target.virtqueues = Some([0, 1, 2, 3].map(|queue| Device::find_queue(device, queue)));
            let (bar, offset) = target.common;
            target.queues = rt::read::<u16>(bars[usize::from(bar)] + offset + 0x12).min(QUEUES);
        }
        if class == VGA {
            touch(bars[0]);
        }
        target.restart(true);
        Some(target)
    }

    /// The initial address of the common configuration.
    fn common(&self) -> u64 {
        self.bars[usize::from(self.common.0)] + self.common.1
    }

    /// Does a random operation on the device.
    fn disturb(&self, random: &mut Random, indices: &mut [u16; QUEUES as usize]) {
        let (choice, place, value) = (random.next(), random.next(), random.next());
        match choice % 64 {
            0..2 => {
                self.restart(choice & 1 << 8 != 0);
                *indices = [0; QUEUES as usize];
            }
            2..4 => self.configuration(choice >> 8, place, value),
            4..28 => self.request(random, indices),
            _ => self.register(choice >> 8, place, value),
        }
    }

    /// Restores its BARs' addresses, and restarts it with all queues; `resets` also resets a SATA controller.
    fn restart(&self, resets: bool) {
        for (n, bar) in (0_u16..).zip(self.bars) {
            rt::write(pci::config(self.device, 0x10 + 4 * n), bar as u32);
        }
        rt::write(pci::config(self.device, 4), 7_u16);
        if let Some(virtqueues) = &self.virtqueues {
            let status = self.common() + 0x14;
            if self.bars[0] & 1 != 0 {
                rt::outb((self.bars[0] & !1) as u16 + 18, 0);
            }
            rt::write(status, 0_u8);
            // Another function's BAR may overlap it.
            if (0..1000).any(|_| rt::read::<u8>(status) == 0) {
                virtqueues[0].begin(0);
                virtqueues[..self.queues.into()].iter().for_each(|queue| queue.enable(QUEUE_SIZE));
                virtqueues[0].end();
            }
            return;
        }
        if self.class == VGA {
            return;
        }
        let registers = self.bars[5];
        rt::write(registers + 4, 1_u32 << 31 | u32::from(resets));
        (0..1000).any(|_| rt::read::<u32>(registers + 4) & 1 == 0);
        for port in (0..6).map(|port| registers + 0x100 + 0x80 * port) {
            rt::write(port + 0x18, 0x10_u32);
            (0..1000).any(|_| rt::read::<u32>(port + 0x18) & 1 << 15 == 0);
            let list = list(port);
            for (register, value) in [(0, list as u32), (8, list as u32 + 0x400), (0x30, !0), (0x10, !0)] {
                rt::write(port + register, value);
            }
            rt::write(port + 0x18, 0x11_u32);
        }
    }

    /// Accesses the header of configuration space, and reads after it.
    fn configuration(&self, choice: u64, place: u64, value: u64) {
        let offset = (place % 0x40) as u16 & !3;
        match choice % 4 {
            0 => drop(any::<u32>(pci::config(self.device, place as u16 % 0x1000 & !3))),
            1 => drop(any::<u8>(pci::config(self.device, offset))),
            // A BAR address that conflicts with nothing, or is unused.
            _ if (0x10..0x28).contains(&offset) => {
                let window = [0xd000_0000, 0xc000_0000, 0xffff_ffff, 0][(choice >> 4) as usize % 4];
                rt::write(pci::config(self.device, offset), window | value as u32 & 0xff_f000);
            }
            2 => rt::write(pci::config(self.device, offset), value as u16),
            _ => rt::write(pci::config(self.device, offset), value as u32),
        }
    }

    /// Accesses a register in one of its BARs.
    fn register(&self, choice: u64, place: u64, value: u64) {
        let n = match self.class {
            AHCI => 5,
            VGA => choice as usize & 2,
            _ => choice as usize & 1,
        };
        let (bar, is_write) = (self.bars[n], choice >> 4 & 1 != 0);
        if bar == 0 {
            return;
        }
        if bar & 1 != 0 {
            return legacy(bar as u16 & !1, choice >> 8, place, value, is_write);
        }
        // Mostly near the start of a page.
        let page = place % 8 * 0x1000;
        let offset = page + if choice >> 5 & 3 == 0 { place >> 8 } else { (place >> 8) % 0x48 } % 0x1000;
        let (at, word) = (bar + offset, bar + (offset & !3));
        let (size, offset) = (1_u64 << (choice >> 8) % 4, offset & !3);
        let n = n as u8;
        if is_write
            && self.virtqueues.is_some()
            && n == self.common.0
            && (0x20..0x38).contains(&offset.wrapping_sub(self.common.1))
        {
            // The address of a ring.
            let high = if value & 0xff == 0 { value as u32 } else { 0 };
            return rt::write(word, if offset & 4 == 0 { arena(value) as u32 } else { high });
        }
        if is_write && n == self.table.0 && (self.table.1..self.table.1 + 0x1000).contains(&offset) {
            let part = [0xfee0_0000, 0, 0x20 | value as u32 & 0xdf, value as u32 & 1];
            return rt::write(word, part[offset as usize / 4 % 4]);
        }
        if is_write && self.class == AHCI && (0x100..0x400).contains(&offset) && offset & 0x7f < 0x10 {
            return rt::write(word, if offset & 4 == 0 { arena(value) as u32 } else { 0 });
        }
        let at = at & !(size - 1);
        match (size, is_write) {
            (1, false) => drop(any::<u8>(at)),
            (2, false) => drop(any::<u16>(at)),
            (4, false) => drop(any::<u32>(at)),
            (_, false) => drop(any::<u64>(at)),
            (1, true) => rt::write(at, value as u8),
            (2, true) => rt::write(at, value as u16),
            (4, true) => rt::write(at, value as u32),
            // Eight bytes cover two registers, one of which may be an address.
            (_, true) => {}
        }
    }

    /// Lays out a command in the slot of a SATA port.
    fn lay_out(&self, list: u64, slot: u64, random: &mut Random) {
        let (choice, place) = (random.next(), random.next());
        let command = COMMANDS[choice as usize % COMMANDS.len()];
        let table = TABLES + slot * TABLE_LEN;
        let (regions, atapi) = ((choice >> 8) as u32 % 5, u32::from(command == 0xa0));
        rt::write(list + 32 * slot, [5 | atapi << 5 | regions << 16, 0, table as u32, 0]);
        let count = (choice >> 16) as u32 & 0x1ff;
        rt::write(table, [0x27_u8, 0x80, command, count as u8]);
        rt::write(table + 4, [place as u32 & 0xfff | 0x4000_0000, (count >> 8) << 24, count]);
        // READ(10) or READ(12), of some blocks.
        rt::write(
            table + 0x40,
            [if choice & 1 << 32 != 0 { 0x28_u32 } else { 0xa8 }, 0, 0x0100 | count << 24],
        );
        for region in 0..u64::from(regions) {
            let value = random.next();
            rt::write(table + 0x80 + 16 * region, [arena(value) & !1, (value >> 40 & 0x1_ffff | 1) << 32]);
        }
    }

    /// Gives the device a request, valid or not.
    fn request(&self, random: &mut Random, indices: &mut [u16; QUEUES as usize]) {
        let (choice, value) = (random.next(), random.next());
        if self.class == VGA {
            // A register of the mode, or a pixel.
            let at = if choice & 3 == 0 { self.bars[0] + (value >> 16) % (16 << 20) } else { self.bars[2] + 0x500 };
            let is_placed = pci::bar(self.device, 0) == self.bars[0] && pci::bar(self.device, 2) == self.bars[2];
            return if is_placed { rt::write((at + choice / 4 % 10 * 2) & !1, value as u16) };
        }
        let Some(virtqueues) = &self.virtqueues else {
            // The first two have drives.
            let port = self.bars[5] + 0x100 + 0x80 * (choice % 2);
            if choice >> 8 & 0xf != 0 {
                self.lay_out(list(port), value % 32, random);
            }
            if choice & 1 << 12 != 0 {
                rt::write(port + 0x34, 1_u32 << (value % 32));
            }
            return rt::write(port + 0x38, 1_u32 << (value % 32));
        };
        let queue = (choice >> 16) as u16 % self.queues.max(1);
        let direction = if choice & 0x2000 != 0 { WRITE } else { 0 };
        let (address, len) = (arena(value), (value >> 40) as u32 & 0x1_ffff | 1);
        let chain = match choice >> 8 & 0xf {
            0 => [nonsense(random), nonsense(random), nonsense(random), nonsense(random)],
            _ if self.is_disk => {
                // A kind of request, and a sector.
                rt::write(HEADER, [choice >> 20 & 0xf, random.next() % 4096]);
                let data = descriptor(address & !0x1ff, len & !0x1ff | 512, NEXT | direction, 2);
                let (first, last) = (descriptor(HEADER, 16, NEXT, 1), descriptor(STATUS, 1, WRITE, 0));
                [first, data, last, last]
            }
            _ => [descriptor(address, len, direction, 0); 4],
        };
        // Its registers may have been moved onto memory.
        if pci::bar(self.device, self.common.0.into()) == self.bars[usize::from(self.common.0)] {
            let queue = usize::from(queue);
            virtqueues[queue].submit_next(&chain, &mut indices[queue]);
        }
    }
}

/// A random descriptor.
fn nonsense(random: &mut Random) -> Descriptor {
    let (value, flags) = (random.next(), random.next());
    let address = if flags & 0xf00 == 0 { value | 1 << 40 } else { arena(value) };
    let len = if flags & 0xf000 == 0 { value as u32 } else { (value >> 40) as u32 & 0x1_ffff };
    descriptor(address, len, flags as u16 & 7, (flags >> 16) as u16 % QUEUE_SIZE)
}

/// The command list of the SATA port with these registers.
fn list(port: u64) -> u64 {
    ARENA + 0x1_0000 + (port & 0x380) * 0x80
}

/// Accesses a register of a transitional device, by ports.
fn legacy(first: u16, choice: u64, place: u64, value: u64, is_write: bool) {
    let offset = place as u16 % 0x30;
    match (offset, is_write, choice % 3) {
        (5..12, true, _) => rt::outl(first + 8, (arena(value) >> 12) as u32),
        (_, true, 0) => rt::outb(first + offset, value as u8),
        (_, true, 1) => rt::outw(first + offset, value as u16),
        (_, true, _) => rt::outl(first + offset, value as u32),
        (_, false, 0) => drop(rt::inb(first + offset)),
        (_, false, 1) => drop(rt::inw(first + offset)),
        (_, false, _) => drop(rt::inl(first + offset)),
    }
}

/// Reads a value, even though it isn't used.
fn any<T>(address: u64) -> T {
    core::hint::black_box(unsafe { (address as *const T).read_volatile() })
}

/// rustc calls it to copy large values.
#[unsafe(no_mangle)]
extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack))
    };
    to
}
