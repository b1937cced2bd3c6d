//! QEMU command lines as people publish them, each rewritten from its meaning, with nvmm's translation.

use std::ffi::OsStr;

use clap::CommandFactory;

use super::{Cli, MachineAlone, Translated, from_qemu, qemu};
use crate::config::VmConfig;

/// The result of a line: nvmm's options, or its refusal.
enum Made {
    /// A machine with these options.
    Runs(&'static str),
    /// A refusal; each of these is the beginning of one of its lines.
    Refused(&'static [&'static str]),
}

use Made::{Refused, Runs};

const LINES: &[(&str, &str, Made)] = &[
    (
        "a trainer's blog: a course of RHEL 7 whose guests need KVM",
        "qemu-kvm -m 8096 -cpu qemu64,+vmx -smp 4,sockets=4,cores=1,threads=1 -drive file=jiaoshiji.qcow2 -vnc 0.0.0.0:20",
        Runs(
            "--memory 8096 --cpu qemu64,+vmx --smp 4,sockets=4,cores=1,threads=1 --disk path=jiaoshiji.qcow2,bus=sata --display vnc=0.0.0.0:20",
        ),
    ),
    (
        "the same one: without the screen",
        "qemu-kvm -m 8096 -cpu qemu64,+vmx -smp 4,sockets=4,cores=1,threads=1 -drive file=jiaoshiji.qcow2",
        Runs(
            "--memory 8096 --cpu qemu64,+vmx --smp 4,sockets=4,cores=1,threads=1 --disk path=jiaoshiji.qcow2,bus=sata",
        ),
    ),
    (
        "the same one: the console by TCP",
        "qemu-kvm -m 4096 -hda jiaoshiji.qcow2 -serial tcp:192.168.0.2:4444 -nographic",
        Runs("--memory 4096 --disk path=jiaoshiji.qcow2,bus=sata --serial tcp:192.168.0.2:4444"),
    ),
    (
        "a first try",
        "qemu-system-x86_64 -m 512 linux.img",
        Runs("--memory 512 --disk path=linux.img,bus=sata"),
    ),
    (
        "a wiki: a cloud image, and how to log in",
        "qemu-system-x86_64 -machine accel=kvm,type=q35 -cpu host -m 2G -nographic -device virtio-net-pci,netdev=net0 \
         -netdev user,id=net0,hostfwd=tcp::2222-:22 -drive if=virtio,format=qcow2,file=noble.img -drive if=virtio,format=raw,file=seed.img",
        Runs(
            "--cpu host --memory 2G --net user,hostfwd=tcp::2222-:22,id=net0 --disk path=noble.img,format=qcow2 --disk path=seed.img,format=raw",
        ),
    ),
    (
        "a cloud image that stays as it is",
        "kvm -snapshot -m 1024 -nographic -drive file=debian-12-generic-amd64.qcow2,if=virtio -nic user,model=virtio",
        Runs("--memory 1024 --disk path=debian-12-generic-amd64.qcow2,overlay=temp --net user"),
    ),
    (
        "an image configured by Ignition",
        "qemu-kvm -m 2048 -cpu host -nographic -snapshot -drive if=virtio,file=coreos.qcow2 -fw_cfg name=opt/com.coreos/config,file=/dev/null \
         -nic user,model=virtio,hostfwd=tcp::2222-:22",
        Runs(
            "--memory 2048 --cpu host --disk path=coreos.qcow2,overlay=temp --fw-cfg name=opt/com.coreos/config,file=/dev/null --net user,hostfwd=tcp::2222-:22",
        ),
    ),
    (
        "systemd's credentials, for an image that asks who may log in",
        "qemu-system-x86_64 -machine q35,accel=kvm -m 2G -drive if=virtio,format=raw,file=image.raw -fw_cfg opt/io.systemd.credentials/ssh.authorized_keys.root,string=a -nographic",
        Runs(
            "--memory 2G --disk path=image.raw,format=raw --fw-cfg opt/io.systemd.credentials/ssh.authorized_keys.root,string=a",
        ),
    ),
    (
        "installing a small distribution",
        "qemu-system-x86_64 -enable-kvm -m 512 -nic user -boot d -cdrom alpine-virt.iso -hda alpine.qcow2 -display none -serial stdio",
        Runs(
            "--memory 512 --net user --boot order=d --cdrom alpine-virt.iso --disk path=alpine.qcow2,bus=sata --serial stdio",
        ),
    ),
    (
        "the same by a wiki, once",
        "qemu-system-x86_64 -cdrom arch.iso -boot once=d,menu=on -drive file=arch.raw,format=raw,if=virtio -m 4G -no-reboot",
        Runs(
            "--cdrom arch.iso --boot order=d,menu=on --disk path=arch.raw,format=raw --memory 4G --on-reboot exit",
        ),
    ),
    (
        "installing with a restart in between",
        "qemu-system-x86_64 -accel kvm -m 2G -cdrom netinst.iso -boot once=d -drive file=d.qcow2",
        Refused(&[
            "-boot once=d: once=d: nvmm has one order for all starts; say order=d, or -no-reboot with it",
        ]),
    ),
    (
        "installing Windows, with a second CD-ROM of drivers",
        "qemu-system-x86_64 -enable-kvm -cpu host -smp 4 -m 8G -drive file=win.qcow2,if=virtio -cdrom win.iso -drive file=virtio-win.iso,media=cdrom \
         -vga qxl -device qemu-xhci -device usb-tablet",
        Refused(&[
            "-cdrom win.iso: nvmm has one CD-ROM drive, which -drive file=virtio-win.iso,media=cdrom is",
            "-vga qxl: nvmm's screen is QEMU's standard one",
        ]),
    ),
    (
        "a manual of UEFI: code and variables",
        "qemu-system-x86_64 -machine q35,smm=off -m 2G -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
         -drive if=pflash,format=raw,unit=1,file=vars.fd -drive file=disk.img,format=raw,if=virtio -serial mon:stdio -display none",
        Runs(
            "--memory 2G --firmware /usr/share/OVMF/OVMF_CODE_4M.fd,vars=vars.fd --disk path=disk.img,format=raw --serial mon:stdio",
        ),
    ),
    (
        "UEFI in one file",
        "qemu-system-x86_64 -bios /usr/share/ovmf/OVMF.fd -hda disk.img -net none",
        Runs("--firmware /usr/share/ovmf/OVMF.fd --disk path=disk.img,bus=sata --net none"),
    ),
    (
        "a UEFI application in a folder",
        "qemu-system-x86_64 -nodefaults -pflash OVMF.fd -drive format=raw,file=fat:rw:esp -serial stdio",
        Refused(&["-drive format=raw,file=fat:rw:esp: nvmm makes no disk of a folder; make an image of it"]),
    ),
    (
        "a tutorial of an operating system in Rust, with tests that end by themselves",
        "qemu-system-x86_64 -drive format=raw,file=boot.bin -device isa-debug-exit,iobase=0xf4,iosize=0x04 -serial stdio -display none -no-reboot",
        Runs("--disk path=boot.bin,format=raw,bus=sata --debug-exit 0xf4 --serial stdio --on-reboot exit"),
    ),
    (
        "an operating system of one's own, with its interrupts in a log",
        "qemu-system-i386 -cdrom os.iso -serial file:serial.log -d int -D qemu.log -no-reboot -no-shutdown",
        Refused(&["-d is QEMU's: say -v, -vv or -vvv"]),
    ),
    (
        "a kernel of one's own, with an initramfs",
        "qemu-system-x86_64 -kernel arch/x86/boot/bzImage -initrd initramfs.cpio.gz -append 'console=ttyS0 panic=-1' -no-reboot -nographic -nodefaults",
        Runs(
            "--kernel arch/x86/boot/bzImage --initramfs initramfs.cpio.gz --cmdline 'console=ttyS0 panic=-1' --on-reboot exit",
        ),
    ),
    (
        "a kernel of one's own, with a disk",
        "qemu-system-x86_64 -enable-kvm -m 2G -smp 2 -kernel bzImage -append \"root=/dev/sda console=ttyS0 rw\" -hda rootfs.img -nographic",
        Runs(
            "--memory 2G --smp 2 --kernel bzImage --cmdline 'root=/dev/sda console=ttyS0 rw' --disk path=rootfs.img,bus=sata",
        ),
    ),
    (
        "the kernel in a debugger",
        "qemu-system-x86_64 -s -S -kernel bzImage -initrd root.cpio -append 'console=ttyS0 nokaslr' -nographic -m 1G -monitor none",
        Runs(
            "--gdb tcp::1234 --paused --kernel bzImage --initramfs root.cpio --cmdline 'console=ttyS0 nokaslr' --memory 1G",
        ),
    ),
    (
        "a fuzzer of the kernel",
        "qemu-system-x86_64 -m 2G -smp 2 -kernel bzImage -append 'console=ttyS0 root=/dev/sda net.ifnames=0' -drive file=bookworm.img,format=raw \
         -net user,hostfwd=tcp:127.0.0.1:10021-:22 -net nic,model=e1000 -enable-kvm -nographic -pidfile vm.pid",
        Refused(&["-net nic,model=e1000: model=e1000: nvmm's card is virtio-net"]),
    ),
    (
        "the kernel's selftests, in a small machine",
        "qemu-system-x86_64 -M microvm -kernel bzImage -append console=ttyS0 -nographic",
        Refused(&["-M microvm: microvm: nvmm's machine is a PC with PCI Express"]),
    ),
    (
        "a unit test of KVM",
        "qemu-system-x86_64 --no-reboot -nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -device pci-testdev \
         -machine accel=kvm -kernel x86/vmx.flat -smp 1 -cpu host,+vmx -m 2048",
        Refused(&[
            "-device pc-testdev is QEMU's: that is for QEMU's own tests",
            "-device pci-testdev is QEMU's",
        ]),
    ),
    (
        "one that needs no device of its own",
        "qemu-system-x86_64 -nodefaults -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -machine accel=kvm -kernel t.elf -cpu max",
        Runs("--on-reboot exit --debug-exit 0xf4 --serial stdio --kernel t.elf --cpu max"),
    ),
    (
        "a lab of guests in guests",
        "qemu-system-x86_64 -enable-kvm -cpu host -smp 8,sockets=2,cores=2,threads=2 -m 16G -drive file=l1.qcow2,if=virtio,cache=none,aio=native,discard=unmap \
         -nic user,model=virtio-net-pci,hostfwd=tcp::10022-:22 -nographic",
        Runs(
            "--cpu host --smp 8,sockets=2,cores=2,threads=2 --memory 16G --disk path=l1.qcow2,direct=on --net user,hostfwd=tcp::10022-:22",
        ),
    ),
    (
        "a guest that nests with a CPU by name",
        "qemu-system-x86_64 -accel kvm -accel tcg -cpu Haswell-noTSX,+vmx,enforce -m 4096 -drive file=l1.img,format=raw,if=virtio,index=0,media=disk -nographic",
        Runs("--cpu Haswell-noTSX,+vmx,enforce --memory 4096 --disk path=l1.img,format=raw"),
    ),
    (
        "a guest on an AMD host without KVM",
        "qemu-system-x86_64 -accel tcg -cpu EPYC,+svm -m 4096 -hda l1.img",
        Refused(&["-accel tcg: nvmm runs guests on KVM alone; nvmm check says why there is none"]),
    ),
    (
        "a bridge of libvirt's",
        "qemu-system-x86_64 -m 2G -drive file=a.qcow2,if=virtio -netdev bridge,br=virbr0,id=hn0 -device virtio-net-pci,netdev=hn0,id=nic1,mac=52:54:00:12:34:56",
        Runs("--memory 2G --disk path=a.qcow2 --net bridge,br=virbr0,mac=52:54:00:12:34:56,id=nic1"),
    ),
    (
        "a tap that is there",
        "qemu-kvm -m 2G -hda a.img -net nic,model=virtio,macaddr=52:54:00:01:02:03 -net tap,ifname=tap0,script=no,downscript=no",
        Runs(
            "--memory 2G --disk path=a.img,bus=sata --net tap,ifname=tap0,script=no,downscript=no,mac=52:54:00:01:02:03",
        ),
    ),
    (
        "a macvtap, with vhost",
        "qemu-kvm -m 2G -drive file=a.img,if=virtio,format=raw -netdev tap,id=n0,fd=3,vhost=on -device virtio-net-pci,netdev=n0,mac=1a:46:0b:ca:bc:7b",
        Runs("--memory 2G --disk path=a.img,format=raw --net tap,fd=3,vhost=on,id=n0,mac=1a:46:0b:ca:bc:7b"),
    ),
    (
        "two machines on a wire",
        "qemu-kvm -m 1G -hda a.img -netdev socket,id=n,listen=:1234 -device virtio-net-pci,netdev=n",
        Refused(&[
            "-device virtio-net-pci,netdev=n: --net socket,listen=:1234,id=n: nvmm connects machines by a bridge of the host",
        ]),
    ),
    (
        "booting from the network",
        "qemu-kvm -m 1G -boot n -net nic,model=virtio -net user,tftp=/srv/tftp,bootfile=pxelinux.0 -hda a.img",
        Refused(&[
            "-net nic,model=virtio: --net user,tftp=/srv/tftp,bootfile=pxelinux.0: 'tftp' means nothing here",
        ]),
    ),
    (
        "a driver of a test: control by QMP, console in a file",
        "qemu-system-x86_64 -name test,process=test -uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 -machine q35,accel=kvm -m 1G -display none -nodefaults \
         -qmp unix:/tmp/qmp.sock,server=on,wait=off -chardev file,id=c0,path=/tmp/console.log -serial chardev:c0 -drive file=t.qcow2,if=none,id=d0 \
         -device virtio-blk-pci,drive=d0,serial=root,bootindex=1 -device virtio-rng-pci -monitor none",
        Runs(
            "--name test --uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 --memory 1G --qmp unix:/tmp/qmp.sock,server=on,wait=off --serial file=/tmp/console.log \
              --disk path=t.qcow2,serial=root,id=d0 --boot order=d0",
        ),
    ),
    (
        "a driver that uses ids for everything",
        "qemu-system-x86_64 -m 2G -object iothread,id=io1 -blockdev driver=file,filename=root.raw,node-name=f1,cache.direct=on,aio=io_uring \
         -blockdev driver=raw,file=f1,node-name=d1 -device virtio-blk-pci,drive=d1,iothread=io1,num-queues=4,queue-size=256 \
         -chardev socket,id=mon,path=/run/mon,server=on,wait=off -mon chardev=mon,mode=control -chardev stdio,id=con,mux=on -device isa-serial,chardev=con",
        Runs(
            "--memory 2G --disk path=root.raw,format=raw,direct=on,aio=io_uring,id=d1,queues=4,queue-size=256 --qmp /run/mon --serial stdio",
        ),
    ),
    (
        "what libvirt starts",
        "/usr/bin/qemu-system-x86_64 -name guest=vm,debug-threads=on -S -machine pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off,memory-backend=pc.ram -accel kvm \
         -cpu host,migratable=on -m 4096 -object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":4294967296}' -overcommit mem-lock=off \
         -smp 2,sockets=2,cores=1,threads=1 -uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 -display none -no-user-config -nodefaults \
         -chardev socket,id=charmonitor,path=/run/m.sock,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc,driftfix=slew \
         -global kvm-pit.lost_tick_policy=delay -no-shutdown -global ICH9-LPC.disable_s3=1 \
         -device '{\"driver\":\"pcie-root-port\",\"port\":8,\"chassis\":1,\"id\":\"pci.1\",\"bus\":\"pcie.0\",\"multifunction\":true,\"addr\":\"0x1\"}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/var/lib/vm.qcow2\",\"node-name\":\"libvirt-1-storage\",\"auto-read-only\":true,\"discard\":\"unmap\"}' \
         -blockdev '{\"node-name\":\"libvirt-1-format\",\"read-only\":false,\"driver\":\"qcow2\",\"file\":\"libvirt-1-storage\",\"backing\":null}' \
         -device '{\"driver\":\"virtio-blk-pci\",\"bus\":\"pci.1\",\"addr\":\"0x0\",\"drive\":\"libvirt-1-format\",\"id\":\"virtio-disk0\",\"bootindex\":1}' \
         -chardev pty,id=charserial0 -device '{\"driver\":\"isa-serial\",\"chardev\":\"charserial0\",\"id\":\"serial0\",\"index\":0}' -msg timestamp=on",
        Runs(
            "--name vm --paused --cpu host,migratable=on --memory 4096 --smp 2,sockets=2,cores=1,threads=1 --uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 --qmp /run/m.sock \
              --disk path=/var/lib/vm.qcow2,format=qcow2,id=libvirt-1-format --boot order=libvirt-1-format --serial pty",
        ),
    ),
    (
        "libvirt's for a server with UEFI, whose tap it opens",
        "LC_ALL=C PATH=/usr/bin HOME=/var/lib/libvirt/qemu/domain-2-web /usr/bin/qemu-system-x86_64 -name guest=web,debug-threads=on -S \
         -object '{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/var/lib/libvirt/qemu/domain-2-web/master-key.aes\"}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/usr/share/OVMF/OVMF_CODE_4M.fd\",\"node-name\":\"libvirt-pflash0-storage\",\"auto-read-only\":true,\"discard\":\"unmap\"}' \
         -blockdev '{\"node-name\":\"libvirt-pflash0-format\",\"read-only\":true,\"driver\":\"raw\",\"file\":\"libvirt-pflash0-storage\"}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/var/lib/libvirt/qemu/nvram/web_VARS.fd\",\"node-name\":\"libvirt-pflash1-storage\",\"read-only\":false}' \
         -machine pc-q35-9.0,usb=off,smm=off,vmport=off,dump-guest-core=off,memory-backend=pc.ram,pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-storage,hpet=off,acpi=on \
         -accel kvm -cpu host,migratable=on -m size=2097152k -object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":2147483648}' -overcommit mem-lock=off \
         -smp 2,sockets=2,cores=1,threads=1 -uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 -no-user-config -nodefaults \
         -chardev socket,id=charmonitor,path=/run/web.sock,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc,driftfix=slew \
         -global kvm-pit.lost_tick_policy=delay -no-shutdown -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=1 -boot strict=on \
         -device '{\"driver\":\"pcie-root-port\",\"port\":16,\"chassis\":1,\"id\":\"pci.1\",\"bus\":\"pcie.0\",\"multifunction\":true,\"addr\":\"0x2\"}' \
         -device '{\"driver\":\"qemu-xhci\",\"p2\":15,\"p3\":15,\"id\":\"usb\",\"bus\":\"pci.2\",\"addr\":\"0x0\"}' \
         -device '{\"driver\":\"virtio-serial-pci\",\"id\":\"virtio-serial0\",\"bus\":\"pci.3\",\"addr\":\"0x0\"}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/var/lib/libvirt/images/web.qcow2\",\"node-name\":\"libvirt-1-storage\",\"auto-read-only\":true,\"discard\":\"unmap\",\"cache\":{\"direct\":true,\"no-flush\":false}}' \
         -blockdev '{\"node-name\":\"libvirt-1-format\",\"read-only\":false,\"discard\":\"unmap\",\"cache\":{\"direct\":true,\"no-flush\":false},\"driver\":\"qcow2\",\"file\":\"libvirt-1-storage\"}' \
         -device '{\"driver\":\"virtio-blk-pci\",\"bus\":\"pci.4\",\"addr\":\"0x0\",\"drive\":\"libvirt-1-format\",\"id\":\"virtio-disk0\",\"bootindex\":1,\"write-cache\":\"on\"}' \
         -netdev '{\"type\":\"tap\",\"fd\":\"29\",\"vhost\":true,\"vhostfd\":\"31\",\"id\":\"hostnet0\"}' \
         -device '{\"driver\":\"virtio-net-pci\",\"netdev\":\"hostnet0\",\"id\":\"net0\",\"mac\":\"52:54:00:6b:3c:58\",\"bus\":\"pci.1\",\"addr\":\"0x0\"}' \
         -chardev pty,id=charserial0 -device '{\"driver\":\"isa-serial\",\"chardev\":\"charserial0\",\"id\":\"serial0\",\"index\":0}' \
         -chardev socket,id=charchannel0,fd=30,server=on,wait=off \
         -device '{\"driver\":\"virtserialport\",\"bus\":\"virtio-serial0.0\",\"nr\":1,\"chardev\":\"charchannel0\",\"id\":\"channel0\",\"name\":\"org.qemu.guest_agent.0\"}' \
         -audiodev '{\"id\":\"audio1\",\"driver\":\"none\"}' -global ICH9-LPC.noreboot=off -watchdog-action reset \
         -device '{\"driver\":\"virtio-balloon-pci\",\"id\":\"balloon0\",\"bus\":\"pci.5\",\"addr\":\"0x0\"}' \
         -object '{\"qom-type\":\"rng-random\",\"id\":\"objrng0\",\"filename\":\"/dev/urandom\"}' \
         -device '{\"driver\":\"virtio-rng-pci\",\"rng\":\"objrng0\",\"id\":\"rng0\",\"bus\":\"pci.6\",\"addr\":\"0x0\"}' \
         -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny -msg timestamp=on",
        Runs(
            "--name web --paused --firmware /usr/share/OVMF/OVMF_CODE_4M.fd,vars=/var/lib/libvirt/qemu/nvram/web_VARS.fd --cpu host,migratable=on --memory 2097152k \
              --smp 2,sockets=2,cores=1,threads=1 --uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 --qmp /run/web.sock --boot order=libvirt-1-format \
              --disk path=/var/lib/libvirt/images/web.qcow2,format=qcow2,direct=on,id=libvirt-1-format --net tap,fd=29,vhost=on,mac=52:54:00:6b:3c:58,id=net0 --balloon \
              --rng /dev/urandom --sandbox on --serial pty",
        ),
    ),
    (
        "libvirt's for an old guest on i440fx, with an IDE disk and a CD-ROM",
        "/usr/bin/qemu-system-x86_64 -name guest=old,debug-threads=on -S -object secret,id=masterKey0,format=raw,file=/var/lib/libvirt/qemu/domain-3-old/master-key.aes \
         -machine pc-i440fx-4.2,accel=kvm,usb=off,dump-guest-core=off -cpu qemu64,+vmx -m 1024 -overcommit mem-lock=off -smp 1,sockets=1,cores=1,threads=1 \
         -uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 -display none -no-user-config -nodefaults -chardev socket,id=charmonitor,path=/run/old.sock,server,nowait -mon chardev=charmonitor,id=monitor,mode=control \
         -rtc base=utc -no-shutdown -no-acpi -boot menu=on,strict=on -device piix3-usb-uhci,id=usb,bus=pci.0,addr=0x1.0x2 \
         -drive file=/var/lib/libvirt/images/old.img,format=raw,if=none,id=drive-ide0-0-0 -device ide-hd,bus=ide.0,unit=0,drive=drive-ide0-0-0,id=ide0-0-0,bootindex=2 \
         -drive file=/srv/old.iso,format=raw,if=none,id=drive-ide0-0-1,media=cdrom,readonly=on -device ide-cd,bus=ide.0,unit=1,drive=drive-ide0-0-1,id=ide0-0-1,bootindex=1 \
         -chardev file,id=charserial0,path=/var/log/old.log,append=on -device isa-serial,chardev=charserial0,id=serial0 -sandbox on,obsolete=deny -msg timestamp=on",
        Runs(
            "--name old --paused --cpu qemu64,+vmx --memory 1024 --smp 1,sockets=1,cores=1,threads=1 --uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 --qmp /run/old.sock --boot order=cdrom1,drive-ide0-0-0,menu=on \
              --disk path=/var/lib/libvirt/images/old.img,format=raw,id=drive-ide0-0-0,bus=sata --cdrom /srv/old.iso --sandbox on --serial file=/var/log/old.log,append=on",
        ),
    ),
    (
        "libvirt's for a kernel of one's own on huge pages, with a NUMA node and sockets to the host",
        "/usr/bin/qemu-system-x86_64 -name guest=k -machine q35,usb=off,dump-guest-core=off -accel kvm -cpu Skylake-Server-IBRS,vmx=on,pdpe1gb=on -m size=4194304k \
         -overcommit mem-lock=off -smp 4,sockets=1,dies=1,cores=2,threads=2 -object '{\"qom-type\":\"iothread\",\"id\":\"iothread1\"}' \
         -object '{\"qom-type\":\"memory-backend-memfd\",\"id\":\"ram-node0\",\"hugetlb\":true,\"hugetlbsize\":2097152,\"share\":true,\"prealloc\":true,\"size\":4294967296}' \
         -numa node,nodeid=0,cpus=0-3,memdev=ram-node0 -no-user-config -nodefaults -no-reboot -kernel /boot/vmlinuz -initrd /boot/initrd.img -append console=ttyS0 \
         -blockdev '{\"driver\":\"host_device\",\"filename\":\"/dev/vg/root\",\"aio\":\"native\",\"node-name\":\"libvirt-1-storage\",\"read-only\":false,\"cache\":{\"direct\":true,\"no-flush\":false}}' \
         -device '{\"driver\":\"virtio-blk-pci\",\"iothread\":\"iothread1\",\"num-queues\":4,\"bus\":\"pci.1\",\"addr\":\"0x0\",\"drive\":\"libvirt-1-storage\",\"id\":\"virtio-disk0\",\"serial\":\"root\"}' \
         -device '{\"driver\":\"vhost-vsock-pci\",\"id\":\"vsock0\",\"guest-cid\":7,\"bus\":\"pci.2\",\"addr\":\"0x0\"}' \
         -device '{\"driver\":\"pvpanic\",\"ioport\":1285}' -chardev socket,id=charserial0,host=127.0.0.1,port=4555,server=on,wait=off,telnet=on \
         -device '{\"driver\":\"isa-serial\",\"chardev\":\"charserial0\",\"id\":\"serial0\",\"index\":0}'",
        Runs(
            "--name k --cpu Skylake-Server-IBRS,vmx=on,pdpe1gb=on --memory size=4194304k,hugepages=on,prefault=on --smp 4,sockets=1,dies=1,cores=2,threads=2 --on-reboot exit \
              --kernel /boot/vmlinuz --initramfs /boot/initrd.img --cmdline console=ttyS0 --disk path=/dev/vg/root,format=raw,direct=on,serial=root,id=libvirt-1-storage,queues=4 \
              --vsock cid=7 --on-panic exit --serial tcp=127.0.0.1:4555,server,telnet=on",
        ),
    ),
    (
        "libvirt's for an image with a base, which it names node by node, and a disk for data that is thrown away",
        "/usr/bin/qemu-system-x86_64 -name guest=clone -machine pc-q35-8.2,usb=off -accel kvm -cpu host -m size=1048576k -smp 1 -no-user-config -nodefaults \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/srv/base.qcow2\",\"node-name\":\"libvirt-2-storage\",\"auto-read-only\":true,\"discard\":\"unmap\"}' \
         -blockdev '{\"node-name\":\"libvirt-2-format\",\"read-only\":true,\"driver\":\"qcow2\",\"file\":\"libvirt-2-storage\",\"backing\":null}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/srv/clone.qcow2\",\"node-name\":\"libvirt-1-storage\",\"auto-read-only\":true,\"discard\":\"unmap\"}' \
         -blockdev '{\"node-name\":\"libvirt-1-format\",\"read-only\":false,\"driver\":\"qcow2\",\"file\":\"libvirt-1-storage\",\"backing\":\"libvirt-2-format\"}' \
         -device '{\"driver\":\"virtio-blk-pci\",\"drive\":\"libvirt-1-format\",\"id\":\"virtio-disk0\"}' -serial none -sandbox off",
        Runs(
            "--name clone --cpu host --memory 1048576k --smp 1 --disk path=/srv/clone.qcow2,format=qcow2,id=libvirt-1-format --serial none --sandbox off",
        ),
    ),
    (
        "libvirt's for a desktop, with what nvmm has not",
        "/usr/bin/qemu-system-x86_64 -name guest=desk -machine pc-q35-9.0,usb=off,smm=on -accel kvm -cpu host -m size=4194304k,slots=16,maxmem=8388608k -smp 2,maxcpus=4 -no-user-config -nodefaults \
         -chardev socket,id=charmonitor,fd=27,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control \
         -device '{\"driver\":\"virtio-scsi-pci\",\"id\":\"scsi0\",\"bus\":\"pci.3\",\"addr\":\"0x0\"}' \
         -blockdev '{\"driver\":\"file\",\"filename\":\"/srv/desk.img\",\"node-name\":\"libvirt-1-storage\"}' \
         -device '{\"driver\":\"scsi-hd\",\"bus\":\"scsi0.0\",\"channel\":0,\"scsi-id\":0,\"lun\":0,\"drive\":\"libvirt-1-storage\",\"id\":\"scsi0-0-0-0\"}' \
         -netdev '{\"type\":\"user\",\"id\":\"hostnet0\"}' -device '{\"driver\":\"e1000e\",\"netdev\":\"hostnet0\",\"id\":\"net0\",\"mac\":\"52:54:00:6b:3c:59\"}' \
         -device '{\"driver\":\"tpm-crb\",\"tpmdev\":\"tpm-tpm0\",\"id\":\"tpm0\"}' -device '{\"driver\":\"vfio-pci\",\"host\":\"0000:01:00.0\",\"id\":\"hostdev0\"}'",
        Refused(&[
            "-machine pc-q35-9.0,usb=off,smm=on: smm=on: nvmm has no System Management Mode",
            "-m size=4194304k,slots=16,maxmem=8388608k: slots=: nvmm can't add memory later",
            "-mon chardev=charmonitor,id=monitor,mode=control: nvmm's control socket is a unix socket",
            "-device virtio-scsi-pci is QEMU's: nvmm has no SCSI",
            "-device scsi-hd is QEMU's: nvmm has no SCSI",
            "-device e1000e is QEMU's: say virtio-net-pci",
            "-device tpm-crb is QEMU's: nvmm has no TPM",
            "-device vfio-pci is QEMU's: nvmm gives guests no devices of the host",
        ]),
    ),
    (
        "a folder of the host, by 9p",
        "qemu-system-x86_64 -m 2G -hda a.img -virtfs local,path=/srv/share,mount_tag=host0,security_model=mapped-xattr",
        Refused(&["-virtfs is QEMU's: nvmm shares no folders yet"]),
    ),
    (
        "a folder of the host, by virtiofs",
        "qemu-system-x86_64 -m 4G -object memory-backend-memfd,id=mem,size=4G,share=on -numa node,memdev=mem -chardev socket,id=char0,path=/tmp/vfs.sock \
         -device vhost-user-fs-pci,chardev=char0,tag=share -hda a.img",
        Refused(&["-device vhost-user-fs-pci is QEMU's: nvmm shares no folders"]),
    ),
    (
        "sockets to the host",
        "qemu-system-x86_64 -m 1G -kernel vmlinux -append console=ttyS0 -nographic -device vhost-vsock-pci,guest-cid=42",
        Runs("--memory 1G --kernel vmlinux --cmdline console=ttyS0 --vsock cid=42"),
    ),
    (
        "random numbers, a balloon, a panic that is heard",
        "qemu-kvm -m 2G -drive file=r.qcow2,if=virtio -object rng-random,id=rng0,filename=/dev/random -device virtio-rng-pci,rng=rng0 -device virtio-balloon-pci \
         -device pvpanic -action panic=pause",
        Runs("--memory 2G --disk path=r.qcow2 --rng /dev/random --balloon --on-panic pause"),
    ),
    (
        "huge pages, for packet processing",
        "qemu-system-x86_64 -enable-kvm -cpu host -m 4G -mem-path /dev/hugepages -mem-prealloc -smp 4 -hda a.img -nic user,model=virtio-net-pci",
        Runs(
            "--cpu host --memory size=4G,hugepages=on,prefault=on --smp 4 --disk path=a.img,bus=sata --net user",
        ),
    ),
    (
        "a disk that is held back",
        "qemu-kvm -m 1G -drive file=a.qcow2,if=virtio,throttling.iops-total=200,throttling.bps-total=10485760,serial=WD-1",
        Runs("--memory 1G --disk path=a.qcow2,iops=200,bw=10485760B,serial=WD-1"),
    ),
    (
        "SCSI disks, as management programs have them",
        "kvm -m 2G -device virtio-scsi-pci,id=scsi0 -drive file=vm-100.raw,if=none,id=drive-scsi0,format=raw,cache=none -device scsi-hd,bus=scsi0.0,drive=drive-scsi0",
        Refused(&[
            "-device virtio-scsi-pci is QEMU's: nvmm has no SCSI; say -device virtio-blk-pci",
            "-device scsi-hd is QEMU's",
        ]),
    ),
    (
        "a desktop",
        "qemu-system-x86_64 -enable-kvm -m 4G -hda d.qcow2 -device virtio-vga-gl -display gtk,gl=on -audiodev pa,id=a -device intel-hda -device hda-duplex,audiodev=a",
        Refused(&[
            "-device virtio-vga-gl is QEMU's: nvmm's screen is QEMU's standard one",
            "-display gtk,gl=on: nvmm opens no windows; say -vnc :0",
        ]),
    ),
    (
        "a graphics card of the host",
        "qemu-system-x86_64 -enable-kvm -cpu host,kvm=off -m 16G -device vfio-pci,host=01:00.0,multifunction=on -vga none -hda w.qcow2",
        Refused(&["-device vfio-pci is QEMU's: nvmm gives guests no devices of the host"]),
    ),
    (
        "a service in the background",
        "qemu-kvm -daemonize -pidfile /run/vm.pid -vnc :1 -monitor unix:/run/mon,server,nowait -m 1G -hda a.img",
        Refused(&["-monitor unix:/run/mon,server,nowait: nvmm's monitor is on its control socket"]),
    ),
    (
        "the same one: without a screen",
        "qemu-kvm -daemonize -pidfile /run/vm.pid -display none -qmp unix:/run/qmp,server=on,wait=off -m 1G -drive file=a.img,if=virtio,format=raw",
        Runs(
            "--daemonize --pidfile /run/vm.pid --qmp unix:/run/qmp,server=on,wait=off --memory 1G --disk path=a.img,format=raw",
        ),
    ),
    (
        "one in the background with its console on a terminal that is gone",
        "qemu-kvm -daemonize -nographic -m 1G -hda a.img",
        Refused(&["-nographic: it puts the console on the terminal, which -daemonize lets go of"]),
    ),
    (
        "two NUMA nodes",
        "qemu-kvm -m 4G -smp 4 -numa node,cpus=0-1,mem=2G -numa node,cpus=2-3,mem=2G -hda a.img",
        Refused(&["-numa node,cpus=2-3,mem=2G: nvmm has one NUMA node"]),
    ),
    (
        "a machine with a name for itself",
        "qemu-kvm -m 1G -drive file=a,,b.img,if=virtio -smbios type=1,manufacturer=Acme,product='Model 1',serial=7 -rtc base=localtime",
        Runs("--memory 1G --disk path=a,,b.img --smbios type=1,manufacturer=Acme,product='Model 1',serial=7"),
    ),
];

/// nvmm's options without its name, or the lines of the refusal.
fn made(line: &str) -> Result<String, Vec<String>> {
    let words = qemu::words_of(OsStr::new(line)).map_err(|why| vec![why])?;
    let Translated { words, told } = qemu::translate(&words, &MachineAlone::command(), true)?;
    let shown = qemu::command(&words).replace(" \\\n    ", " ");
    let cli = Cli::of_nvmms(&words, told).map_err(|error| vec![error.to_string()])?;
    match VmConfig::new(&cli.machine) {
        Err(error) => Err(vec![format!("{:#}", cli.told.explain(error))]),
        Ok(_) => Ok(shown.strip_prefix("nvmm ").unwrap().to_owned()),
    }
}

#[test]
fn published_lines_run_or_are_refused_by_name() {
    assert!(LINES.len() >= 40);
    for (whose, line, expected) in LINES {
        match (made(line), expected) {
            (Ok(words), Runs(expected)) => {
                let unquoted =
                    |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\'', "");
                assert_eq!(unquoted(&words), unquoted(expected), "{whose}");
            }
            (Err(lines), Refused(expected)) => {
                assert_eq!(lines.len(), expected.len(), "{whose}: {lines:#?}");
                for (line, start) in lines.iter().zip(*expected) {
                    assert!(line.starts_with(start), "{whose}: {line}");
                }
            }
            (made, _) => panic!("{whose}: {made:#?}"),
        }
    }
}

#[test]
fn most_of_them_run() {
    let runs = LINES.iter().filter(|(_, _, made)| matches!(made, Runs(_))).count();
    assert!(runs * 2 > LINES.len(), "{runs}");
}

#[test]
fn printed_command_lines_run_unchanged() {
    for (whose, line, expected) in LINES {
        let Runs(_) = expected else { continue };
        let once = from_qemu(OsStr::new(line)).unwrap_or_else(|error| panic!("{whose}: {error}"));
        let again = from_qemu(OsStr::new(&once.command)).unwrap_or_else(|error| panic!("{whose}: {error}"));
        assert_eq!(once.command, again.command, "{whose}");
        assert_eq!(format!("{:?}", once.cli.machine), format!("{:?}", again.cli.machine), "{whose}");
    }
}
