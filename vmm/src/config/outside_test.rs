use clap::Parser;

use super::*;
use crate::cli::Cli;

fn parse(line: &str) -> MachineArgs {
    Cli::try_parse_from(["nvmm"].into_iter().chain(line.split_whitespace())).unwrap().machine
}

#[test]
fn the_options_tell_what_is_removed_and_reached() {
    let line = "--kernel k --qmp a/qmp --pidfile pid --gdb unix:b/gdb --display vnc=unix:vnc --vsock cid=3,uds=v \
                --serial unix=serial,server --serial pty=link --serial tcp=localhost:4444 --net user";
    let outside = Outside::of(&parse(line));
    let removed = ["a/qmp", "b/gdb", "vnc", "v", "serial", "link"];
    assert_eq!(outside.removed, removed.map(PathBuf::from));
    assert_eq!(outside.pid_file, Some("pid".into()));
    assert_eq!(outside.ports, [4444]);
    assert_eq!(
        (outside.passt, outside.vhost_vsock, outside.unix_sockets, outside.terminals),
        (true, false, true, true)
    );
}

#[test]
fn most_machines_reach_nothing_outside() {
    let line = "--kernel k --serial unix=other --serial null --gdb tcp::1234 --display vnc=:0 --net tap=t";
    assert_eq!(Outside::of(&parse(line)), Outside::default());
    let kernels = Outside::of(&parse("--kernel k --vsock cid=3"));
    assert_eq!(kernels, Outside { vhost_vsock: true, ..Outside::default() });
    // Invalid options.
    assert_eq!(Outside::of(&parse("--kernel k --qmp tcp:x --serial x --vsock x")), Outside::default());
}
