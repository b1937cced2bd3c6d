//! The default route, which passt needs.

use std::fs;

/// Returns whether this host has a default route, by IPv4 or IPv6. If that can't be found out, returns true.
pub(super) fn has_default() -> bool {
    let (v4, v6) =
        (fs::read_to_string("/proc/self/net/route"), fs::read_to_string("/proc/self/net/ipv6_route"));
    v4.is_err() || has_default_in(&v4.unwrap_or_default(), &v6.unwrap_or_default())
}

/// Does the same with the kernel's tables. Each line of `v4` has an interface, a destination, six other fields and a mask; each of `v6` a
/// destination, the length of its prefix, seven other fields and an interface. A network without a default route has an unreachable one on
/// `lo`.
fn has_default_in(v4: &str, v6: &str) -> bool {
    let is_zero = |field: &&str| field.bytes().all(|digit| digit == b'0');
    let v4_default = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(1).is_some_and(is_zero) && fields.get(7).is_some_and(is_zero)
    };
    let v6_default = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() >= 10 && fields[..2].iter().all(is_zero) && fields[9] != "lo"
    };
    v4.lines().any(v4_default) || v6.lines().any(v6_default)
}

#[cfg(test)]
#[path = "route_test.rs"]
mod tests;
