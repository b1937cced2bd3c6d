//! Disks, networks and serial ports.

use super::{ours, refused};

#[test]
fn disks() {
    for (line, expected) in [
        ("-drive file=a.qcow2", "--disk path=a.qcow2,bus=sata"),
        ("-hda a,b.img", "--disk path=a,,b.img,bus=sata"),
        ("-drive file=a,,b.img,if=virtio", "--disk path=a,,b.img"),
        (
            "-drive file=a,if=virtio,format=raw,cache=none,aio=native,snapshot=on,id=d,media=disk,index=0,werror=report",
            "--disk path=a,format=raw,overlay=temp,direct=on,id=d",
        ),
        (
            "-drive file=a,if=virtio,cache=directsync,aio=threads,discard=ignore,readonly",
            "--disk path=a,readonly=on,direct=on,cache=writethrough,discard=off,aio=threads",
        ),
        (
            "-drive file=a,if=virtio,cache=unsafe,throttling.iops-total=100,bps=1000,serial=7",
            "--disk path=a,cache=unsafe,iops=100,bw=1000B,serial=7",
        ),
        // SATA disks by their index, in the positions that they have among the others.
        (
            "-hdb b -drive file=v,if=virtio -hda a",
            "--disk path=a,bus=sata --disk path=v --disk path=b,bus=sata",
        ),
        (
            "-drive file=a -drive file=b -drive file=c,index=7 -drive file=d",
            "--disk path=a,bus=sata --disk path=b,bus=sata --disk path=d,bus=sata --disk path=c,bus=sata",
        ),
        // -snapshot is for all disks that don't specify it.
        (
            "-snapshot -drive file=a,if=virtio -drive file=b,if=virtio,snapshot=off -drive file=c,if=virtio,readonly=on",
            "--disk path=a,overlay=temp --disk path=b --disk path=c,readonly=on",
        ),
        ("-cdrom c.iso", "--cdrom c.iso"),
        ("-drive file=c.iso,media=cdrom,readonly=on,format=raw", "--cdrom c.iso"),
        ("-drive media=cdrom", "--cdrom none"),
        ("-cdrom none", "--cdrom ./none"),
        // The device may come first.
        (
            "-device virtio-blk-pci,drive=d,serial=7,num-queues=2,id=x -drive if=none,id=d,file=a,format=qcow2",
            "--disk path=a,format=qcow2,serial=7,id=d,queues=2",
        ),
        ("-drive if=none,id=d,file=a -device ide-hd,drive=d,bus=ide.0", "--disk path=a,id=d,bus=sata"),
        (
            "-drive if=none,id=d,file=a -device virtio-blk-pci-transitional,drive=d",
            "--disk path=a,id=d,legacy=on",
        ),
        (
            "-drive if=none,id=d,file=a -device virtio-blk,drive=d,disable-legacy=off",
            "--disk path=a,id=d,legacy=on",
        ),
        ("-drive if=none,id=d,file=c,media=cdrom -device ide-cd,drive=d -device ahci,id=ahci", "--cdrom c"),
        ("-device ide-cd", "--cdrom none"),
        (
            "-drive if=none,id=d,file=c,media=cdrom -device virtio-blk,drive=d",
            "--disk path=c,readonly=on,id=d",
        ),
        // Nodes of -blockdev.
        (
            "-blockdev driver=file,node-name=f,filename=a -blockdev driver=qcow2,node-name=d,file=f,discard=ignore -device virtio-blk-pci,drive=d",
            "--disk path=a,format=qcow2,discard=off,id=d",
        ),
        (
            "-blockdev qcow2,node-name=d,file.driver=file,file.filename=a,cache.direct=on,cache.no-flush=on,read-only=on -device virtio-blk-pci,drive=d",
            "--disk path=a,format=qcow2,readonly=on,direct=on,cache=unsafe,id=d",
        ),
        (
            "-blockdev {\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"a,b\",\"cache\":{\"direct\":true}} -device {\"driver\":\"virtio-blk-pci\",\"drive\":\"f\"}",
            "--disk path=a,,b,format=raw,direct=on,id=f",
        ),
        (
            "-blockdev file,node-name=f,filename=a -blockdev raw,node-name=r,file=f -blockdev file,node-name=g,filename=b -blockdev qcow2,node-name=q,file=g,backing=r -device virtio-blk,drive=q",
            "--disk path=b,format=qcow2,id=q",
        ),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
}

#[test]
fn disks_that_are_not_supported() {
    for (line, expected) in [
        ("-drive a.img", "-drive a.img: give file=PATH"),
        ("-drive file=", "-drive file=: a disk needs an image; give file=PATH"),
        ("-drive", "-drive needs a value"),
        ("-drive -m 1G", "-drive needs a value"),
        ("-drive file=a,if=scsi", "-drive file=a,if=scsi: nvmm has no SCSI; say if=virtio"),
        ("-drive file=a,if=sata", "if=sata is no word of QEMU's; say if=ide"),
        ("-drive file=a,if=mad", "if=mad: give virtio, ide, none or pflash"),
        ("-drive file=a,file=b", "'file' is there twice"),
        ("-drive file=a,cache=quick", "'cache=quick': give writeback, none"),
        ("-drive file=a,aio=fast", "'aio=fast': give threads, native or io_uring"),
        ("-drive file=a,cyls=9,heads=7", "'cyls=9', 'heads=7': nvmm has nothing like it; leave it out"),
        ("-drive file=a,werror=stop", "'werror=stop': nvmm tells the guest of the error"),
        ("-drive file=a,snapshot=maybe", "'snapshot=maybe': give on or off"),
        ("-drive file=a,index=x", "'index=x': give a whole number"),
        ("-drive file=a,media=tape", "media=tape: give disk or cdrom"),
        ("-drive file=a,readonly=on", "an IDE or SATA disk can't be read-only"),
        ("-drive file=a,index=1 -hdb b", "-hdb b: another disk has index 1"),
        ("-drive file=nbd://h/x", "nvmm speaks no nbd"),
        ("-drive file=https://h/x", "and no https"),
        ("-drive file=fat:rw:esp", "nvmm makes no disk of a folder"),
        ("-drive file=json:{}", "nvmm takes no json: names"),
        (
            "-cdrom a -drive file=b,media=cdrom",
            "nvmm has one CD-ROM drive, which -drive file=b,media=cdrom is",
        ),
        ("-drive if=none,file=a", "it needs id=ID, by which -device virtio-blk-pci,drive=ID takes it"),
        (
            "-drive if=none,file=a,id=d",
            "-drive if=none,file=a,id=d: no -device virtio-blk-pci,drive=ID takes d; add one, or leave it out",
        ),
        ("-drive if=none,file=a,id=d -drive if=none,file=b,id=d", "another -drive has id=d"),
        ("-device virtio-blk-pci", "it needs drive=ID"),
        ("-device virtio-blk-pci,drive=d", "there is no -drive with id=d; add one"),
        (
            "-drive if=none,file=a,id=e -device virtio-blk-pci,drive=d",
            "there is no -drive with id=d; there is e",
        ),
        (
            "-drive if=none,file=a,id=e -device virtio-blk-pci,drive=e -device ide-hd,drive=e",
            "-drive id=e is taken already",
        ),
        ("-device scsi-hd,drive=d", "-device scsi-hd is QEMU's: nvmm has no SCSI"),
        ("-blockdev node-name=d -device virtio-blk,drive=d", "-blockdev node-name=d: it needs driver="),
        (
            "-blockdev raw,node-name=a,file=b -blockdev raw,node-name=b,file=a -device virtio-blk,drive=a",
            "-blockdev node-name=a is taken already",
        ),
        ("-blockdev rbd,node-name=d,image=x -device virtio-blk,drive=d", "and no rbd"),
        ("-blockdev throttle,node-name=d,file=x -device virtio-blk,drive=d", "nvmm has no throttle"),
        ("-blockdev {\"driver\" -device virtio-blk,drive=d", "this is no JSON"),
        (
            "-device virtio-blk,drive=d,logical_block_size=4096 -drive if=none,id=d,file=a",
            "'logical_block_size=4096': nvmm has nothing like it",
        ),
    ] {
        let lines = refused(line);
        assert!(lines.iter().any(|line| line.contains(expected)), "{line}: {lines:?}");
    }
}

#[test]
fn networks() {
    for (line, expected) in [
        (
            "-netdev tap,id=a,ifname=t0,script=no -device virtio-net-pci,netdev=a,mac=52:54:00:00:00:01",
            "--net tap,ifname=t0,script=no,id=a,mac=52:54:00:00:00:01",
        ),
        // The order is that of the cards, and the card's name is used.
        (
            "-device virtio-net-pci,netdev=b,id=nic0 -netdev=user,id=a -kernel k -netdev bridge,id=b,br=br1 -device=virtio-net,netdev=a",
            "--net bridge,br=br1,id=nic0 --kernel k --net user,id=a",
        ),
        (
            "-netdev tap,id=a,queues=4,vhost=off -device virtio-net-pci,mq=on,vectors=10,netdev=a,host_mtu=9000,romfile=,disable-legacy=on,disable-modern=off",
            "--net tap,queues=4,vhost=off,id=a,host_mtu=9000",
        ),
        ("-netdev user,id=a -device virtio-net-pci,netdev=a,disable-legacy=off", "--net user,legacy=on,id=a"),
        ("-netdev user,id=a -device virtio-net-pci-transitional,netdev=a", "--net user,legacy=on,id=a"),
        ("-nic user,model=virtio-net-pci-transitional", "--net user,legacy=on"),
        (
            "-nic user,hostfwd=tcp::2222-:22,hostfwd=tcp::80-:80",
            "--net user,hostfwd=tcp::2222-:22,hostfwd=tcp::80-:80",
        ),
        (
            "-nic=bridge,br=br1,model=virtio-net-pci,mac=52:54:00:00:00:01",
            "--net bridge,br=br1,mac=52:54:00:00:00:01",
        ),
        ("-nic none", "--net none"),
        ("-nic tap,model=virtio,id=a,,b", "--net tap,id=a,,b"),
        (
            "-net nic,model=virtio,macaddr=52:54:00:00:00:01 -net user,hostfwd=tcp::1-:1",
            "--net user,hostfwd=tcp::1-:1,mac=52:54:00:00:00:01",
        ),
        ("-net tap,vlan=0,ifname=t -net nic,vlan=0", "--net tap,ifname=t"),
        ("-net user -kernel k", "--net user --kernel k"),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
    for (line, expected) in [
        ("-netdev user", "it needs id=ID, by which -device virtio-net-pci,netdev=ID takes it"),
        ("-netdev user,id=a", "-netdev user,id=a: no -device virtio-net-pci,netdev=ID takes a"),
        ("-device virtio-net-pci,netdev=a", "there is no -netdev with id=a"),
        ("-device virtio-net-pci", "nvmm's card has a place on the host; add netdev=ID"),
        ("-nic user,model=e1000", "model=e1000: nvmm's card is virtio-net; say model=virtio-net-pci"),
        ("-nic", "-nic needs a value"),
        ("-nic=", "a place is missing"),
        ("-netdev", "-netdev needs a value"),
        ("-net nic", "the card has no place on the host"),
        (
            "-netdev user,id=a -device virtio-net-pci,netdev=a,disable-modern=on",
            "'disable-modern=on': nvmm has nothing like it",
        ),
        (
            "-device e1000,netdev=a",
            "-device e1000 is QEMU's: say virtio-net-pci, which is nvmm's network card, or --net",
        ),
    ] {
        let lines = refused(line);
        assert!(lines.iter().any(|line| line.contains(expected)), "{line}: {lines:?}");
    }
}

#[test]
fn serial_ports_and_control() {
    for (line, expected) in [
        ("-serial mon:stdio -serial null", "--serial mon:stdio --serial null"),
        ("-chardev socket,id=s,path=a,,b,server=on,wait=off -serial chardev:s", "--serial unix=a,,b,server"),
        (
            "-serial chardev:s -chardev socket,id=s,host=127.0.0.1,port=4444,server,nowait,telnet",
            "--serial tcp=127.0.0.1:4444,server,telnet=on",
        ),
        ("-chardev socket,id=s,host=::1,port=1,reconnect=1 -serial chardev:s", "--serial tcp=[::1]:1"),
        ("-chardev socket,id=s,path=a,server=on -serial chardev:s", "--serial unix=a,server,wait"),
        (
            "-chardev file,id=s,path=a,append=on,logfile=l -serial chardev:s",
            "--serial file=a,append=on,log=l",
        ),
        // Ports that are devices come after the others.
        ("-device isa-serial,chardev=s -chardev pty,id=s -serial null", "--serial null --serial pty"),
        ("-chardev stdio,id=s,mux=on,signal=off -serial chardev:s -mon chardev=s", "--serial stdio"),
        ("-monitor none -monitor null -serial null", "--serial null"),
        ("-qmp unix:q,server=on,wait=off -cpu host", "--qmp unix:q,server=on,wait=off --cpu host"),
        ("-chardev socket,id=m,path=q,server=on,wait=off -mon chardev=m,mode=control", "--qmp q"),
        ("-chardev socket,id=m,path=q,server=on,wait=off -qmp chardev:m", "--qmp q"),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
    for (line, expected) in [
        ("-serial chardev:s -cpu host", "there is no -chardev with id=s"),
        ("-serial chardev: -cpu host", "the id of a -chardev is missing"),
        ("-serial vc -cpu host", "nvmm has no text consoles"),
        ("-chardev stdio,id=s", "-chardev stdio,id=s: no -serial chardev:ID takes s"),
        ("-chardev stdio,id=s -serial chardev:s -serial chardev:s", "-chardev id=s is taken already"),
        ("-chardev udp,id=s,port=1 -serial chardev:s", "-chardev udp,id=s,port=1: nvmm has no udp"),
        ("-chardev file,id=s -serial chardev:s", "it needs path=FILE"),
        ("-chardev socket,id=s -serial chardev:s", "it needs path=PATH, or host=HOST,port=PORT"),
        ("-monitor stdio", "-monitor stdio: nvmm's monitor is on its control socket: say --qmp PATH"),
        ("-monitor telnet::1,server,nowait", "say --qmp PATH"),
        ("-chardev stdio,id=m -mon chardev=m,mode=control", "nvmm's control socket is a unix socket"),
        ("-chardev socket,id=m,path=q,server=on -mon chardev=m,mode=control", "give server=on,wait=off"),
    ] {
        let lines = refused(line);
        assert!(lines.iter().any(|line| line.contains(expected)), "{line}: {lines:?}");
    }
}
