//! Conflicts between the network devices of a machine.

use std::net::IpAddr;

use devices::net::Forward;

use super::device::{NetConfig, NetHost, NetMac};

/// Refuses settings that two devices can't share. Returns the number of the second one, and the reason.
pub(super) fn check(devices: &[NetConfig]) -> Result<(), (usize, String)> {
    for (at, device) in devices.iter().enumerate() {
        for earlier in &devices[..at] {
            clash(earlier, device).map_or(Ok(()), |why| Err((at, why)))?;
        }
        if let NetHost::Descriptors(fds) = &device.host
            && let Some(fd) = fds.iter().enumerate().find_map(|(at, fd)| fds[..at].contains(fd).then_some(fd))
        {
            return Err((at, format!("descriptor {fd} is there twice; give each pair of queues its own")));
        }
        if let NetHost::User(forwards) = &device.host
            && let Some(why) =
                forwards.iter().enumerate().find_map(|(at, forward)| twice(&forwards[..at], forward))
        {
            return Err((at, why));
        }
    }
    Ok(())
}

fn clash(earlier: &NetConfig, device: &NetConfig) -> Option<String> {
    if earlier.name == device.name {
        return Some(format!("another network device is called '{}'; give each its own id", device.name));
    }
    if let (NetMac::Given(theirs), NetMac::Given(ours)) = (&earlier.mac, &device.mac)
        && theirs == ours
    {
        return Some(format!("another network device has the address {ours}; give each its own"));
    }
    match (&earlier.host, &device.host) {
        // A name with %d is a pattern for many names.
        (NetHost::Tap(Some(theirs)), NetHost::Tap(Some(ours)))
            if theirs == ours && !ours.as_str().contains('%') =>
        {
            Some(format!("another network device has the tap {ours}; give each its own"))
        }
        (NetHost::Descriptors(theirs), NetHost::Descriptors(ours)) => {
            let fd = ours.iter().find(|fd| theirs.contains(fd))?;
            Some(format!("another network device has the descriptor {fd}; give each its own"))
        }
        (NetHost::User(theirs), NetHost::User(ours)) => {
            ours.iter().find_map(|forward| twice(theirs, forward))
        }
        _ => None,
    }
}

/// Returns an error if one of the `earlier` devices forwards the port of `forward`, too.
fn twice(earlier: &[Forward], forward: &Forward) -> Option<String> {
    let other = earlier.iter().find(|other| collide(other, forward))?;
    Some(format!("hostfwd={forward}: hostfwd={other} has that port already; give each its own"))
}

/// Returns whether both can't work at once: they are for the same port of an address.
fn collide(one: &Forward, other: &Forward) -> bool {
    // An IPv6 socket may also get IPv4 connections.
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let same = |one, other| one == other || covers(one, other) || covers(other, one);
    one.protocol == other.protocol
        && one.port == other.port
        && one.address.zip(other.address).is_none_or(|(one, other)| same(one, other))
}
