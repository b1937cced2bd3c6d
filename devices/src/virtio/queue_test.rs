use proptest::prelude::*;

use super::{
    test_driver::{Driver, FREE, INDIRECT, MEMORY_SIZE, NEXT, SEAM, WRITE, any_table},
    *,
};

const SIZE: u16 = 16;

fn bytes(buffers: &Buffers<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in buffers.as_slice() {
        let start = bytes.len();
        bytes.resize(start + slice.len(), 0);
        slice.copy_to(&mut bytes[start..]);
    }
    bytes
}

/// The result of `pop` for the chain that `prepare` offers.
fn pop_one(prepare: impl FnOnce(&mut Driver)) -> Result<Option<(usize, usize)>, QueueError> {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    prepare(&mut driver);
    let chain = rings.pop()?;
    Ok(chain.map(|chain| (chain.readable.len(), chain.writable.len())))
}

#[test]
fn whole_chains() {
    assert_eq!(pop_one(|_| ()).unwrap(), None);
    let buffers =
        [(FREE, 16, 0), (FREE + 0x100, 1, 0), (FREE + 0x1000, 512, WRITE), (FREE + 0x2000, 1, WRITE)];
    assert_eq!(pop_one(|it| _ = it.chain(&buffers)).unwrap(), Some((17, 513)));
    assert_eq!(pop_one(|it| _ = it.indirect_chain(0x8000, &buffers)).unwrap(), Some((17, 513)));
    // A whole table, and an indirect one longer than the queue.
    assert_eq!(pop_one(|it| _ = it.chain(&[(FREE, 1, 0); 16])).unwrap(), Some((16, 0)));
    assert_eq!(
        pop_one(|it| _ = it.indirect_chain(0x8000, &[(FREE, 1, WRITE); 100])).unwrap(),
        Some((0, 100))
    );
    // Some descriptors, and then an indirect table for the others.
    let prepare = |it: &mut Driver| {
        it.describe(0x8000, 0, (FREE, 5, WRITE, 0));
        it.chain(&[(FREE, 16, 0), (0x8000, 16, INDIRECT)]);
    };
    assert_eq!(pop_one(prepare).unwrap(), Some((16, 5)));
    // A buffer across the border of two regions consists of two pieces.
    assert_eq!(pop_one(|it| _ = it.chain(&[(SEAM - 1, 2, 0)])).unwrap(), Some((2, 0)));
    assert_eq!(pop_one(|it| _ = it.chain(&[(MEMORY_SIZE - 1, 1, 0)])).unwrap(), Some((1, 0)));
}

#[test]
fn chains_without_an_end() {
    let endless = |prepare: fn(&mut Driver)| match pop_one(prepare) {
        Err(QueueError::Endless(head)) => head,
        other => panic!("{other:?}"),
    };
    let loop_of_one: fn(&mut Driver) = |it| {
        it.describe_own(3, (FREE, 1, NEXT, 3));
        it.offer(3);
    };
    assert_eq!(endless(loop_of_one), 3);
    let loop_of_two: fn(&mut Driver) = |it| {
        it.describe_own(3, (FREE, 1, NEXT, 4));
        it.describe_own(4, (FREE, 1, NEXT, 3));
        it.offer(4);
    };
    assert_eq!(endless(loop_of_two), 4);
    assert_eq!(endless(|it| it.offer(SIZE)), SIZE);
    assert_eq!(endless(|it| it.offer(0xffff)), 0xffff);
    let past_the_table: fn(&mut Driver) = |it| {
        it.describe_own(0, (FREE, 1, NEXT, SIZE));
        it.offer(0);
    };
    assert_eq!(endless(past_the_table), 0);
    let four_gib: fn(&mut Driver) = |it| {
        it.indirect_chain(0x8000, &[(0, 0x40_0000, 0); 1024]);
    };
    assert_eq!(endless(four_gib), 0);

    // Indirect tables: empty, odd, outside of memory, nested, looping.
    for (address, len) in [(0x8000, 0), (0x8000, 15), (0x8000, 24), (MEMORY_SIZE, 16), (u64::MAX - 7, 16)] {
        let result = pop_one(|it| _ = it.chain(&[(FREE, 16, 0), (address, len, INDIRECT)]));
        assert!(matches!(result, Err(QueueError::Endless(0))), "{result:?}");
        let result = pop_one(|it| _ = it.chain(&[(address, len, INDIRECT)]));
        assert!(matches!(result, Err(QueueError::Endless(0))), "{result:?}");
    }
    assert_eq!(endless(|it| _ = it.indirect_chain(0x8000, &[(FREE, 1, 0), (0x8000, 32, INDIRECT)])), 0);
    assert_eq!(endless(|it| _ = it.indirect_chain(0x8000, &[(0x8000, 16, INDIRECT)])), 0);
    let looping: fn(&mut Driver) = |it| {
        it.describe(0x8000, 0, (FREE, 1, NEXT, 0));
        it.chain(&[(0x8000, 16, INDIRECT)]);
    };
    assert_eq!(endless(looping), 0);
}

#[test]
fn buffers_that_are_none() {
    for buffers in
        [&[(FREE, 0, 0)][..], &[(FREE, 16, 0), (FREE, 0, WRITE)], &[(u64::MAX, 0, 0), (FREE, 1, 0)]]
    {
        let result = pop_one(|it| _ = it.chain(buffers));
        assert!(matches!(result, Err(QueueError::Empty(0))), "{result:?}");
    }
    for (address, len) in [
        (MEMORY_SIZE, 1),
        (MEMORY_SIZE - 1, 2),
        (FREE, u32::MAX),
        (u64::MAX, 1),
        (u64::MAX - 1, 4),
        (1 << 63, 512),
    ] {
        for flags in [0, WRITE] {
            let result = pop_one(|it| _ = it.chain(&[(address, len, flags)]));
            match result {
                Err(QueueError::OutsideMemory { head: 0, address: a, len: l }) => {
                    assert_eq!((a, l), (address, len));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let result = pop_one(|it| _ = it.chain(&[(FREE, 1, 0), (FREE, 1, WRITE), (FREE, 1, 0)]));
    assert!(matches!(result, Err(QueueError::OutOfOrder(0))), "{result:?}");
    let long = |count| pop_one(|it| _ = it.indirect_chain(0x8000, &vec![(FREE, 1, 0); count]));
    assert_eq!(long(1024).unwrap(), Some((1024, 0)));
    assert!(matches!(long(1025), Err(QueueError::TooLong(0))));
}

#[test]
fn available_index_out_of_bounds() {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    driver.chain(&[(FREE, 1, 0)]);
    for index in [SIZE + 1, 0x8000, 0xffff] {
        driver.set_avail_index(index);
        assert!(matches!(rings.pop(), Err(QueueError::Available { .. })), "{index}");
    }
    driver.set_avail_index(1);
    assert!(rings.pop().unwrap().is_some());
    driver.set_avail_index(0);
    assert!(matches!(rings.pop(), Err(QueueError::Available { .. })));
}

/// The indices are counters that wrap at 65536, not at the queue's size.
#[test]
fn indices_wrap() {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    for n in 0_u32..70_000 {
        let head = driver.chain(&[(FREE, 1 + n % 7, WRITE)]);
        let chain = rings.pop().unwrap().unwrap();
        assert_eq!((chain.head, chain.writable.len() as u64), (head, u64::from(1 + n % 7)));
        rings.push(head, n).unwrap();
        assert!(rings.wants_interrupt().unwrap());
        assert_eq!(driver.used(), Some((head.into(), n)));
    }
    assert!(rings.pop().unwrap().is_none());
}

#[test]
fn interrupts_when_the_driver_wants_them() {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    let complete = |driver: &mut Driver, rings: &mut Rings<'_>| {
        let head = driver.chain(&[(FREE, 1, WRITE)]);
        rings.pop().unwrap().unwrap();
        rings.push(head, 0).unwrap();
        rings.wants_interrupt().unwrap()
    };
    assert!(complete(&mut driver, &mut rings));
    driver.set_avail_flags(1);
    assert!(!complete(&mut driver, &mut rings));
    // With the event index the flag is ignored, and `used_event` decides.
    let mut queue = rings.into_queue();
    queue.set_event_idx(true);
    let mut rings = Rings::new(queue, &memory).unwrap();
    driver.set_used_event(3);
    assert_eq!([(); 4].map(|()| complete(&mut driver, &mut rings)), [false, true, false, false]);
}

#[test]
fn takes_buffers_apart() {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    let content: Vec<u8> = (0..32).collect();
    driver.write(FREE, &content);
    driver.chain(&[
        (FREE, 3, 0),
        (FREE + 3, 10, 0),
        (FREE + 13, 3, 0),
        (FREE + 16, 1, WRITE),
        (FREE + 17, 9, WRITE),
    ]);
    let Chain { mut readable, mut writable, .. } = rings.pop().unwrap().unwrap();

    assert_eq!(readable.take_front::<17>(), None);
    assert_eq!(bytes(&readable), content[..16]);
    assert_eq!(readable.take_front::<0>(), Some([]));
    assert_eq!(readable.take_front::<3>(), Some([0, 1, 2]));
    assert_eq!(readable.take_front::<4>(), Some([3, 4, 5, 6]));
    assert_eq!(bytes(&readable), content[7..16]);
    assert_eq!(readable.take_front::<9>().unwrap(), content[7..16]);
    assert!(readable.is_empty());
    assert_eq!(readable.take_front::<1>(), None);
    assert!(readable.take_last().is_none());

    let last = writable.take_last().unwrap();
    last.copy_from(&[0xff_u8]);
    assert_eq!(writable.len(), 9);
    assert_eq!(writable.write(&[1, 2, 3]), 3);
    assert_eq!(driver.read(FREE + 16, 10), [1, 2, 3, 19, 20, 21, 22, 23, 24, 0xff]);
    assert_eq!(writable.write(&[7; 20]), 9);
    for left in (0..9).rev() {
        assert!(writable.take_last().is_some());
        assert_eq!(writable.len(), left);
    }
    assert!(writable.is_empty());
}

proptest! {
    /// For any rings, each chain is complete and in memory or the queue has failed, and the chains end.
    #[test]
    fn hostile_rings(
        table in any_table(SIZE),
        heads in prop::collection::vec(prop_oneof![16 => 0..SIZE, 1 => any::<u16>()], 1..40),
    ) {
        let mut driver = Driver::new(SIZE);
        let memory = driver.memory.clone();
        let mut rings = driver.rings(&memory);
        for (index, &descriptor) in (0..).zip(&table) {
            driver.describe_own(index, descriptor);
        }
        heads.iter().for_each(|&head| driver.offer(head));
        for _ in 0..SIZE {
            match rings.pop() {
                Ok(Some(chain)) => {
                    prop_assert!(chain.readable.as_slice().len() + chain.writable.as_slice().len() <= 2 * MAX_BUFFERS);
                    prop_assert!(rings.push(chain.head, 0).is_ok());
                }
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        prop_assert!(!matches!(rings.pop(), Ok(Some(_))));
    }
}

/// A driver that reads at any time sees none or all.
#[test]
fn several_chains_are_given_back_at_once() {
    let mut driver = Driver::new(4);
    let memory = driver.memory.clone();
    for _ in 0..4 {
        driver.chain(&[(FREE, 10, WRITE)]);
    }
    let mut rings = driver.rings(&memory);
    let heads = [(); 3].map(|()| rings.pop().unwrap().unwrap().head);
    let mut lens = heads.into_iter().zip(1..);
    rings
        .push_all(std::iter::from_fn(|| {
            assert_eq!(driver.used(), None, "not before the last");
            lens.next()
        }))
        .unwrap();
    assert_eq!([(); 3].map(|()| driver.used().unwrap()), [(0, 1), (1, 2), (2, 3)]);
    assert!(matches!(rings.push_all([(3, 0), (4, 0)]), Err(QueueError::NoChain(4))));
    assert_eq!(driver.used(), None);
    rings.push_all([]).unwrap();
    assert_eq!(driver.used(), None);
    assert_eq!(rings.into_queue().next_used(), 3);
}

/// The pages recorded since the last call.
fn noted(memory: &GuestRam) -> Vec<u64> {
    let pages = |(word, bits): (usize, u64)| {
        (0..64).filter(move |bit| bits & 1 << bit != 0).map(move |bit| word as u64 * 64 + bit)
    };
    memory.written().take().enumerate().flat_map(pages).collect()
}

/// Code that copies memory meanwhile must see these writes.
#[test]
fn device_writes_are_recorded_while_that_is_on() {
    let mut driver = Driver::new(SIZE);
    let memory = driver.memory.clone();
    let mut rings = driver.rings(&memory);
    let buffers = [(FREE, 16, 0), (FREE + 0x1000, 0x1001, WRITE), (SEAM - 8, 16, WRITE)];
    for is_on in [false, true, false] {
        let head = if is_on { driver.indirect_chain(0x8000, &buffers) } else { driver.chain(&buffers) };
        if is_on {
            memory.written().switch_on(MEMORY_SIZE);
        } else {
            memory.written().switch_off();
        }
        let chain = rings.pop().unwrap().unwrap();
        chain.writable.write(&[7; 0x1011]);
        assert_eq!(noted(&memory), [0; 0]);
        rings.push(head, 0x1011).unwrap();
        let used = driver.queue().used_ring() >> 12;
        let mut expected = vec![used, (FREE >> 12) + 1, (FREE >> 12) + 2, (SEAM >> 12) - 1, SEAM >> 12];
        expected.sort_unstable();
        assert_eq!(noted(&memory), if is_on { expected } else { vec![] });
        rings.enable_kicks().unwrap();
        assert_eq!(noted(&memory), if is_on { vec![used] } else { vec![] });
        rings.disable_kicks().unwrap();
        assert_eq!(noted(&memory), if is_on { vec![used] } else { vec![] });
    }
}
