"""Drives a machine with PyPI's qemu.qmp: every command that it lists. Argument: the control socket."""

import asyncio
import pathlib
import shutil
import sys
import tempfile

from qemu.qmp import ExecuteError, QMPClient

folder = pathlib.Path(tempfile.mkdtemp())

# What each command is given, and the type of what it returns; last those after which the machine is another.
CALLS = {
    "query-commands": ({}, list),
    "query-qmp-schema": ({}, list),
    "query-version": ({}, dict),
    "query-status": ({}, dict),
    "query-name": ({}, dict),
    "query-uuid": ({}, dict),
    "query-kvm": ({}, dict),
    "query-cpus-fast": ({}, list),
    "query-stats": ({"target": "vm"}, list),
    "query-vnc": ({}, dict),
    "query-block": ({}, list),
    "query-blockstats": ({}, list),
    "block_resize": ({"device": "data", "size": 2 << 20}, dict),
    "set_link": ({"name": "net0", "up": False}, dict),
    "announce-self": ({"initial": 50, "max": 550, "rounds": 5, "step": 100}, dict),
    "nvmm-network": ({}, list),
    "query-rx-filter": ({}, list),
    "blockdev-change-medium": ({"device": "cdrom", "filename": str(folder / "cd.iso")}, dict),
    "eject": ({"device": "cdrom"}, dict),
    "query-cpu-definitions": ({}, list),
    "query-cpu-model-expansion": ({"type": "static", "model": {"name": "max"}}, dict),
    "nvmm-registers": ({}, dict),
    "nvmm-inject-nmi": ({"cpu-index": 0}, dict),
    "inject-nmi": ({}, dict),
    "human-monitor-command": ({"command-line": "info status"}, str),
    "memsave": ({"val": 0x1000, "size": 16, "filename": str(folder / "virtual")}, dict),
    "pmemsave": ({"val": 0x1000, "size": 16, "filename": str(folder / "physical")}, dict),
    "dump-guest-memory": ({"paging": False, "protocol": f"file:{folder / 'core'}"}, dict),
    "screendump": ({"filename": str(folder / "screen.png"), "format": "png"}, dict),
    "nvmm-snapshot-save": ({"directory": str(folder / "snapshot")}, dict),
    "getfd": ({"fdname": "connection"}, dict),
    "closefd": ({"fdname": "connection"}, dict),
    "migrate": ({"uri": "fd:connection"}, dict),
    "query-migrate": ({}, dict),
    "migrate_cancel": ({}, dict),
    "send-key": ({"keys": [{"type": "qcode", "data": "ret"}]}, dict),
    "input-send-event": ({"events": [{"type": "abs", "data": {"axis": "x", "value": 1}}]}, dict),
    "stop": ({}, dict),
    "cont": ({}, dict),
    "system_reset": ({}, dict),
    "system_powerdown": ({}, dict),
    "quit": ({}, dict),
}

# What a host, a guest that does not listen, a machine without a network, or a client that passes no descriptors may have refused.
MAY_BE_REFUSED = {
    "set_link",
    "query-stats",
    "inject-nmi",
    "nvmm-inject-nmi",
    "memsave",
    "system_powerdown",
    "getfd",
    "closefd",
    "migrate",
}


async def main(socket):
    client = QMPClient("test")
    await client.connect(socket)
    (folder / "cd.iso").write_bytes(bytes(2048))
    names = {command["name"] for command in await client.execute("query-commands")}
    # qemu.qmp gives it by itself.
    assert names - {"qmp_capabilities"} == set(CALLS), names ^ set(CALLS)
    heard = []
    with client.listener(("STOP", "RESUME", "RESET", "SHUTDOWN")) as events:
        for name, (arguments, kind) in CALLS.items():
            try:
                returned = await client.execute(name, arguments)
                assert isinstance(returned, kind), (name, returned)
            except ExecuteError as error:
                assert name in MAY_BE_REFUSED, (name, error)
                print(f"{name}: {error}")
        while "SHUTDOWN" not in heard:
            heard.append((await events.get())["event"])
    # An NMI may reset a guest that has no handler for it.
    assert "RESET" in heard, heard
    # One pair is of the snapshot, which stops the machine.
    assert [event for event in heard if event != "RESET"] == ["STOP", "RESUME"] * 2 + ["SHUTDOWN"], heard
    try:
        await client.disconnect()
    except EOFError:
        pass
    shutil.rmtree(folder)
    print("all commands")


asyncio.run(main(sys.argv[1]))
