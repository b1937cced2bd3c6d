//! The network devices of a machine beside each other.

use super::{NetConfig, NetHost, NetMac};

/// Refuses what two devices can't both have. Returns the number of the second one, and the reason.
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
        // With %d in it, it is the pattern of many names.
        (NetHost::Tap(Some(theirs)), NetHost::Tap(Some(ours)))
            if theirs == ours && !ours.as_str().contains('%') =>
        {
            Some(format!("another network device has the tap {ours}; give each its own"))
        }
        (NetHost::Descriptors(theirs), NetHost::Descriptors(ours)) => {
            let fd = ours.iter().find(|fd| theirs.contains(fd))?;
            Some(format!("another network device has the descriptor {fd}; give each its own"))
        }
        _ => None,
    }
}
