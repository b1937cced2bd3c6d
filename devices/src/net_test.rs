use super::*;

#[test]
fn an_offload_without_what_it_needs_is_left_out() {
    let all = Offloads::all();
    assert_eq!(all.usable(), all);
    assert_eq!((all - Offloads::CSUM).usable(), Offloads::empty());
    let no_tso = all - Offloads::TSO4 - Offloads::TSO6;
    assert_eq!(no_tso.usable(), no_tso - Offloads::ECN);
}
