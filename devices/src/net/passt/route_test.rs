use super::*;

const V4: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
v0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

/// The network itself, and the one without a route.
const V6: &str = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                  00000000000000000000000000000000 00000100 00000001 00000000 00000001       v0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                  00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

#[test]
fn a_default_route_is_one_to_everywhere_that_leads_out() {
    let v4 = format!("{V4}v0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
    let zeros = "0".repeat(32);
    let v6 = format!(
        "{V6}{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 v0\n"
    );
    assert!(!has_default_in("", ""));
    assert!(!has_default_in(V4, V6));
    assert!(has_default_in(&v4, V6));
    assert!(has_default_in(V4, &v6));
    // Half of all addresses.
    assert!(!has_default_in(&v4.replace("\t00000000\t0\t0\t0\n", "\t00000080\t0\t0\t0\n"), V6));
}
