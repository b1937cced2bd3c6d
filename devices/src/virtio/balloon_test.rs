use std::sync::Mutex;

use proptest::prelude::*;
use vm_memory::{GuestAddress, GuestMemoryBackend, VolatileSlice};

use super::{
    super::queue::test_driver::{FREE, MEMORY_SIZE, SEAM, WRITE, any_table},
    *,
};
use crate::{
    state::testing::{load, saved},
    testing::said_by,
    virtio::test_machine::{Event, LONG, TestMachine},
};

const PAGE: u64 = 4096;
const NUMBERS: u64 = FREE;

/// A host that takes every page, and records it: addresses in this process, and lengths.
#[derive(Debug, Default)]
struct Taken {
    ranges: Mutex<Vec<(usize, usize)>>,
    refuses: bool,
}

impl Reclaim for Taken {
    fn reclaim(&self, memory: &VolatileSlice<'_>) -> io::Result<()> {
        if self.refuses {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.ranges.lock().unwrap().push((memory.ptr_guard().as_ptr().addr(), memory.len()));
        Ok(())
    }
}

struct Guest {
    machine: TestMachine<Balloon>,
    control: Arc<Control>,
    taken: Arc<Taken>,
}

impl Guest {
    fn new() -> Self {
        Self::on(Taken::default())
    }

    fn on(taken: Taken) -> Self {
        let (control, taken) = (Arc::<Control>::default(), Arc::new(taken));
        let balloon = Balloon::new(Arc::clone(&control), Arc::clone(&taken) as Arc<dyn Reclaim>);
        let mut machine = TestMachine::new(balloon, 3);
        machine.activate(0);
        Self { machine, control, taken }
    }

    /// Puts the pages into the balloon.
    fn inflate(&mut self, pages: &[u32]) {
        let numbers: Vec<_> = pages.iter().flat_map(|page| page.to_le_bytes()).collect();
        self.machine.drivers[0].write(NUMBERS, &numbers);
        assert_eq!(self.machine.request(0, &[(NUMBERS, u32::try_from(numbers.len()).unwrap(), 0)]), 0);
    }

    /// The guest-physical addresses that the host took since the last call.
    fn taken(&self) -> Vec<(u64, usize)> {
        let memory = &self.machine.drivers[0].memory;
        let regions: Vec<_> = [0, SEAM]
            .iter()
            .map(|&base| {
                let slice = memory.get_slice(GuestAddress(base), 1).unwrap();
                (slice.ptr_guard().as_ptr().addr(), base)
            })
            .collect();
        let ranges = std::mem::take(&mut *self.taken.ranges.lock().unwrap());
        let guest = ranges.into_iter().map(|(at, len)| {
            let region = regions.iter().find(|(host, _)| (*host..*host + 0x20_0000).contains(&at)).unwrap();
            (region.1 + (at - region.0) as u64, len)
        });
        guest.collect()
    }

    fn config(&self) -> [u32; 3] {
        let mut data = [0xff; 12];
        self.machine.device.read_config(0, &mut data);
        [0, 4, 8].map(|at| u32::from_le_bytes(data[at..at + 4].try_into().unwrap()))
    }
}

#[test]
fn pages_in_the_balloon_are_the_hosts() {
    let mut guest = Guest::new();
    guest.inflate(&[0x205]);
    assert_eq!(guest.taken(), [(0x20_5000, 4096)]);
    // In any order: runs are given at once, and duplicates once.
    guest.inflate(&[0x303, 0x301, 0x302, 0x301, 0x180, 0x304]);
    assert_eq!(guest.taken(), [(0x18_0000, 4096), (0x30_1000, 4 * 4096)]);
    // Across the border of two regions, and up to the end of memory.
    guest.inflate(&[0x1ff, 0x200, 0x3ff, 0x400, 0x401, u32::MAX, 0x1000]);
    assert_eq!(guest.taken(), [(0x1f_f000, 4096), (SEAM, 4096), (MEMORY_SIZE - PAGE, 4096)]);
    assert_eq!(guest.control.reclaimed(), 9 * PAGE);
    // More than are processed together.
    guest.inflate(&(0x200..0x400).collect::<Vec<_>>());
    assert_eq!(guest.taken().iter().map(|(_, len)| len).sum::<usize>(), 0x20_0000);

    let deflated = guest.machine.request(1, &[(NUMBERS, 64, 0)]);
    assert_eq!((deflated, guest.taken()), (0, vec![]));
}

#[test]
fn numbers_that_are_cut_up_are_put_together() {
    let mut guest = Guest::new();
    guest.machine.drivers[0].write(NUMBERS, &[0x11, 0x02, 0, 0, 0x33, 0x03, 0, 0, 0x44]);
    let pieces = [(NUMBERS, 1, 0), (NUMBERS + 1, 4, 0), (NUMBERS + 5, 4, 0)];
    assert_eq!(guest.machine.request(0, &pieces), 0);
    assert_eq!(guest.taken(), [(0x21_1000, 4096), (0x33_3000, 4096)], "the last byte is no number");
}

#[test]
fn free_pages_are_reported() {
    let mut guest = Guest::new();
    let free = [(0x20_0000, 0x10_0000, WRITE), (0x18_0000, 0x1000, WRITE)];
    assert_eq!(guest.machine.request(2, &free), 0);
    assert_eq!(guest.taken(), [(0x20_0000, 0x10_0000), (0x18_0000, 0x1000)]);
    assert_eq!(Job::of(4), Job::Report, "the specification's number");
    assert_eq!(guest.machine.request(2, &[(0x20_0000, 0x1000, 0)]), 0);
    assert_eq!(guest.taken(), [], "what is only readable is not given");
}

#[test]
fn the_target_is_the_users_and_the_size_the_drivers() {
    let mut guest = Guest::new();
    assert_eq!(guest.config(), [0, 0, 0]);
    assert!(!guest.machine.device.measure().unwrap());
    guest.control.set_target(64 << 20);
    assert_eq!(guest.config(), [0, 0, 0], "not before the driver is told");
    assert!(guest.machine.device.measure().unwrap());
    assert!(!guest.machine.device.measure().unwrap());
    assert_eq!(guest.config(), [16384, 0, 0]);

    let device = &mut guest.machine.device;
    device.write_config(4, &1000_u32.to_le_bytes());
    for (offset, data) in [(0, &[1; 4][..]), (4, &[1; 2]), (5, &[1; 4]), (8, &[1; 4])] {
        device.write_config(offset, data);
    }
    assert_eq!((guest.config(), guest.control.actual()), ([16384, 1000, 0], 1000 * PAGE));
    let state = saved(&guest.machine.device);
    let mut other = Guest::new();
    load(&mut other.machine.device, &state).unwrap();
    assert_eq!(other.config(), [16384, 1000, 0]);
    assert!(!other.machine.device.measure().unwrap());
    guest.machine.device.reset();
    assert_eq!(guest.config(), [16384, 0, 0]);
    guest.control.set_target(u64::MAX);
    assert!(guest.machine.device.measure().unwrap());
    assert_eq!(guest.config(), [u32::MAX, 0, 0]);
}

#[test]
fn a_host_that_takes_nothing_back_is_named_once() {
    let guest = Guest::on(Taken { refuses: true, ..Taken::default() });
    let memory = guest.machine.drivers[0].memory.clone();
    let reclaim = Arc::clone(&guest.taken) as Arc<dyn Reclaim>;
    let work = Work::new(Job::Report, memory.clone(), reclaim, Arc::clone(&guest.control));
    let page = memory.get_slice(GuestAddress(0), 4096).unwrap();
    let said = said_by(|| (0..3).for_each(|_| work.reclaim(&page)));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("balloon: this host does not take pages back"), "{said:?}");
    assert_eq!(guest.control.reclaimed(), 0);
}

#[test]
fn a_huge_list_does_not_hold_up_a_reset() {
    let mut guest = Guest::new();
    // 128 times the same megabyte.
    guest.machine.offer(0, &[(FREE, 0x10_0000, 0); 128]);
    let queues = guest.machine.device.stop(Halt::Pause, LONG).unwrap();
    guest.machine.activate_on(queues, 0);
    guest.machine.device.reset();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any rings, each chain is answered or the device needs a reset, and only guest memory is given away.
    #[test]
    fn hostile_chains(
        queue in 0..3_u16,
        table in any_table(128),
        heads in prop::collection::vec(0..129_u16, 1..40),
        numbers in prop::collection::vec(any::<u32>(), 256),
    ) {
        let mut guest = Guest::new();
        let driver = &mut guest.machine.drivers[usize::from(queue)];
        for (index, &descriptor) in (0..).zip(&table) {
            driver.describe_own(index, descriptor);
        }
        driver.write(FREE, &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>());
        heads.iter().for_each(|&head| driver.offer(head));
        guest.machine.kick(queue);
        let mut answered = 0;
        while answered < heads.len() {
            match guest.machine.event() {
                Event::Used(_) => {
                    while let Some((_, written)) = guest.machine.drivers[usize::from(queue)].used() {
                        prop_assert_eq!(written, 0);
                        answered += 1;
                    }
                }
                Event::NeedsReset => break,
                Event::ConfigChanged => panic!("it has not changed"),
            }
        }
        guest.machine.device.reset();
        for (at, len) in guest.taken() {
            prop_assert!(at + len as u64 <= MEMORY_SIZE);
        }
    }
}
