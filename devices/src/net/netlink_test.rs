use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::net::{
    InterfaceName,
    interface::Interface,
    tap::Tap,
    testing::{in_namespace, ip},
};

fn index(name: &str) -> u32 {
    Interface::new(name.parse::<InterfaceName>().unwrap()).unwrap().index().unwrap()
}

/// Returns whether there is a message within `seconds`.
fn has_news(news: &LinkNews, seconds: i64) -> bool {
    poll(&mut [PollFd::new(news, PollFlags::IN)], Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap()
        == 1
}

#[test]
fn open_queues_are_counted_of_an_interface_that_is_down_as_well() {
    in_namespace(|| {
        ip("tuntap add dev one mode tap
            tuntap add dev many mode tap multi_queue
            link add br0 type bridge");
        for name in ["one", "br0", "lo"] {
            assert_eq!(open_queues(index(name)).unwrap(), None, "{name}");
        }
        assert_eq!(open_queues(index("many")).unwrap(), Some(0));
        assert_eq!(open_queues(1 << 30).unwrap(), None, "there is none");
        // One of them is attached.
        let tap = Tap::open("many", 3, None).unwrap();
        assert_eq!(open_queues(index("many")).unwrap(), Some(3));
        ip("link set dev many down");
        assert_eq!(open_queues(index("many")).unwrap(), Some(3));
        drop(tap);
        assert_eq!(open_queues(index("many")).unwrap(), Some(0));
    });
}

#[test]
fn an_interface_that_goes_away_is_news() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap");
        let news = LinkNews::new().unwrap();
        news.take();
        assert!(!has_news(&news, 0));
        ip("link del t0");
        assert!(has_news(&news, 10));
        news.take();
        assert!(!has_news(&news, 0));
    });
}

#[test]
fn answers_that_make_no_sense_tell_nothing() {
    let answer = |attributes: &[u8]| {
        let mut answer = [0; HEADER + LINK];
        answer[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        [&answer[..], attributes].concat()
    };
    for attributes in
        [&[][..], &[0; 64], &[18, 0], &[200, 0, 18, 0], &[3, 0, 18, 0], &[4, 0, 18, 0], &[255; 9]]
    {
        assert_eq!(queues_in(&answer(attributes)), None, "{attributes:?}");
    }
    assert_eq!(queues_in(&[]), None);
}
