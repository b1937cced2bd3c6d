use super::*;

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const LISTED: [u8; 6] = [2, 0, 0, 0, 0, 3];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
const LISTED_GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 2];
const EVERYONE: [u8; 6] = [0xff; 6];

/// The addresses that a filter accepts, of: its own, another, a listed one, a multicast one, a listed multicast one, and broadcast.
fn passed(change: impl FnOnce(&mut Filter)) -> [bool; 6] {
    let mut filter = Filter {
        promisc: false,
        unicast: Table::new([LISTED].into()),
        multicast: Table::new([LISTED_GROUP].into()),
        ..Filter::default()
    };
    change(&mut filter);
    [OWN, OTHER, LISTED, GROUP, LISTED_GROUP, EVERYONE].map(|address| filter.wants(address, OWN))
}

#[test]
fn a_driver_that_sets_no_mode_gets_everything() {
    assert!([OWN, OTHER, GROUP, EVERYONE].iter().all(|&address| Filter::default().wants(address, OWN)));
}

#[test]
fn each_mode_lets_its_own_frames_through() {
    let (yes, no) = (true, false);
    assert_eq!(passed(|_| ()), [yes, no, yes, no, yes, yes]);
    assert_eq!(passed(|filter| filter.promisc = true), [yes; 6]);
    assert_eq!(passed(|filter| filter.allmulti = true), [yes, no, yes, yes, yes, yes]);
    assert_eq!(passed(|filter| filter.alluni = true), [yes, yes, yes, no, yes, yes]);
    assert_eq!(passed(|filter| filter.nomulti = true), [yes, no, yes, no, no, yes]);
    assert_eq!(passed(|filter| filter.nouni = true), [no, no, no, no, yes, yes]);
    assert_eq!(passed(|filter| filter.nobcast = true), [yes, no, yes, no, yes, no]);
    assert_eq!(
        passed(|filter| (filter.promisc, filter.nouni, filter.nomulti, filter.nobcast) = (yes, yes, yes, yes)),
        [yes; 6],
        "promiscuous mode comes first, as in QEMU"
    );
    assert_eq!(
        passed(|filter| (filter.allmulti, filter.nomulti) = (yes, yes)),
        [yes, no, yes, no, no, yes],
        "what is excluded comes before what is let in"
    );
}

#[test]
fn a_table_that_is_full_lets_all_of_its_sort_through() {
    let full = Table::overflowing();
    assert_eq!(full.len(), 0, "it takes no memory");
    let (yes, no) = (true, false);
    assert_eq!(passed(|filter| filter.unicast = full.clone()), [yes, yes, yes, no, yes, yes]);
    assert_eq!(passed(|filter| filter.multicast = full), [yes, no, yes, yes, yes, yes]);
}

#[test]
fn a_filter_describes_the_frames_it_accepts() {
    let told = Filter::default().tell(OWN);
    assert!(told.promiscuous && told.broadcast_allowed);
    assert_eq!((told.unicast, told.multicast), (RxState::Normal, RxState::Normal));
    assert_eq!(
        (told.main_mac, told.unicast_table, told.multicast_table),
        (MacAddress(OWN), Some(vec![]), Some(vec![]))
    );
    let filter = Filter {
        promisc: false,
        allmulti: true,
        alluni: true,
        nouni: true,
        nobcast: true,
        unicast: Table::new([LISTED, OTHER].into()),
        multicast: Table::overflowing(),
        ..Filter::default()
    };
    let told = filter.tell(OWN);
    assert!(!told.promiscuous && !told.broadcast_allowed);
    assert_eq!((told.unicast, told.multicast), (RxState::None, RxState::All));
    assert_eq!(told.unicast_table, Some(vec![MacAddress(OTHER), MacAddress(LISTED)]));
    assert_eq!(told.multicast_table, None);
}
