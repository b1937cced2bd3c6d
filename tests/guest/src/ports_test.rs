use super::*;

fn good() -> Vec<PortFacts> {
    let port = |number: usize| PortFacts {
        number,
        kind: 4,
        io: PC[number].0,
        irq: PC[number].1,
        bus: "pnp".to_owned(),
        received: 1,
        sent: 1,
    };
    ORDER.map(port).into()
}

#[test]
fn ports_as_a_pc_has_them_are_judged_good() {
    judge(&good()).unwrap();
}

#[test]
fn ports_that_are_otherwise_are_not() {
    let changes: [fn(&mut PortFacts); 7] = [
        |port| port.number = 3,
        |port| port.kind = 1,
        |port| port.io = 0x3f8,
        |port| port.irq = 4,
        |port| port.bus = "platform".to_owned(),
        |port| port.received = 0,
        |port| port.sent = 0,
    ];
    for change in changes {
        let mut ports = good();
        change(&mut ports[0]);
        judge(&ports).unwrap_err();
    }
    judge(&[]).unwrap_err();
}

#[test]
fn neighbours_in_the_order_have_different_irqs() {
    assert!(ORDER.windows(2).all(|ports| PC[ports[0]].1 != PC[ports[1]].1));
}
