#!/bin/sh
# Level 0 of the training lab's test: a Debian whose CPU is emulated, and where this runs as root. It makes the lab as
# resources/manual/lab.md says, runs the part of the test that it is given, libvirt, nvmm, domain or qemu64, and tells of each thing
# that it shows in lines that begin with "training: ".
set -u

# Guests that run nothing but ssh's server: all of systemd takes minutes in level 2 here, and the kernel's tests of its
# ciphers take seconds.
guests="LAB_CMDLINE='rdinit=/ssh-only mitigations=off cryptomgr.notests nokaslr' guests"
tiny="LAB_INITRD=/run/tiny.img LAB_MEMORY=96 LAB_CMDLINE='mitigations=off cryptomgr.notests nokaslr' guests"

# check NAME COMMAND...
check() {
    name=$1
    shift
    echo "training: begin $name"
    : >/root/said
    if "$@" >>/root/said 2>&1; then
        echo "training: passed $name"
    else
        tail -n 300 /root/said
        tail -n 40 /run/l1.log
        echo "training: failed $name"
        return 1
    fi
}

# Ends the waiting of a check when `cargo lab` writes a line here. The time limit of a check is counted there, by the
# emulator's clock: this machine's own runs on while a busy host lets the emulator wait.
end_when_told() {
    read -r _
    echo "this takes too long" >>/root/said
    touch /run/late
    pkill -x ssh
}

to() {
    ssh -F ssh_config "$@"
}

# reach HOST...: waits until each one's ssh server is there, and logs in. To try by logging in, over and over, would take
# the processor from what is to start.
reach() {
    for host; do
        address=$(to -G "$host" | sed -n 's/^hostname //p')
        wait="until (: >/dev/tcp/$address/22) 2>/dev/null; do [ ! -e /run/late ] || exit 1; sleep 2; done"
        if [ "$host" = l1 ]; then bash -c "$wait"; else to -n l1 "$wait"; fi || return 1
        [ "$(to -n "$host" hostname)" = "$host" ] || return 1
    done
}

# transfer HOST...: 64 MiB there and back, at the same time.
transfer() {
    head -c 64M /dev/urandom >/root/sent
    sum=$(sha256sum </root/sent)
    for host; do
        [ "$(to "$host" cat </root/sent | sha256sum)" = "$sum" ] || return 1
    done
}

# level1 [OPTION]...: level 1 from its first instruction on; it forgets what it wrote before.
level1() {
    rm -f /run/l1.log
    LAB_SMP=1 LAB_CMDLINE=mitigations=off NVMM=./nvmm ./start . --serial file=/run/l1.log --qmp /run/l1.qmp "$@" </dev/null >/run/l1.out 2>&1 &
    vmm=$!
    reach l1 || { tail -n 5 /run/l1.out /run/l1.log; return 1; }
}

# domain: level 1 as libvirt's domain XML describes it, with the CPU and the topology of users who want guests in it.
domain() {
    cat >/root/l1.xml <<DOMAIN
<domain type='kvm'>
  <name>l1</name>
  <memory unit='GiB'>2</memory>
  <vcpu>8</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/root/lab/vmlinuz</kernel>
    <initrd>/root/lab/initrd.img</initrd>
    <cmdline>root=/dev/vda rw console=ttyS0 quiet mitigations=off systemd.hostname=l1</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='host-passthrough'><topology sockets='2' cores='2' threads='2'/></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <devices>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw'/>
      <source dev='/dev/vdb'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:87:00:02'/>
      <source bridge='nvmm-lab'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='/run/l1.log'/></serial>
    <console type='file'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
DOMAIN
    rm -f /run/l1.log
    ./nvmm --domain /root/l1.xml --qmp /run/l1.qmp </dev/null >/run/l1.out 2>&1 &
    vmm=$!
    reach l1 || { tail -n 5 /run/l1.out /run/l1.log; return 1; }
    # The sockets of its processors, and how many of them have SVM. Linux takes an AMD's threads for cores without its
    # topology extensions, which are not emulated here.
    to -n l1 'lscpu -p=SOCKET; grep -c "^flags.* svm" /proc/cpuinfo' >/root/offered &&
        cat /root/offered &&
        [ "$(grep -v '^#' /root/offered | tr -d '\n')" = 000011118 ]
}

offers_kvm() {
    level1 &&
        to -n l1 'virt-host-validate qemu; virsh capabilities' >/root/offered &&
        cat /root/offered &&
        ! grep -q FAIL /root/offered &&
        grep -q "hardware virtualization .*: PASS" /root/offered &&
        grep -q "<domain type='kvm'" /root/offered
}

by_libvirt() {
    to -n l1 "$guests libvirt start" &&
        reach classroom server desktop &&
        [ "$(to -n l1 virsh list --name | grep -c .)" = 3 ]
}

by_nvmm() {
    to l1 'cat >/usr/local/bin/nvmm' <nvmm &&
        to -n l1 "$guests nvmm start" &&
        reach classroom server desktop &&
        to -n l1 systemctl is-active nvmm-classroom nvmm-server nvmm-desktop && return
    describe_guests
    return 1
}

# describe_guests: prints, for each of nvmm's guests, its last lines, what each thread of its nvmm waits for, its registers
# and its numbers of exits from KVM, both twice, and what lies on its stack. If nothing changes, its vCPU hangs.
describe_guests() {
    to -n l1 'for name in classroom server desktop; do
            echo "== $name"
            tail -n 4 "/run/$name.log"
            pid=$(systemctl show -P MainPID "nvmm-$name")
            grep -H . "/proc/$pid/task/"*/wchan | sed "s/:/ /; s/^.*task.//"
            for time in 1 2; do
                kill -USR1 "$pid"
                nvmm ctl "/run/$name.qmp" info registers >/run/registers
                grep -E "^(RAX|RSI|RIP)" /run/registers
                sleep 5
            done
            rsp=$(grep -o "RSP=[0-9a-f]*" /run/registers | sed "s/RSP=/0x/")
            nvmm ctl "/run/$name.qmp" memsave "val=$rsp" size=1024 filename=/run/stack && od -A x -t x8 /run/stack
            journalctl -q -n 9 -o cat -u "nvmm-$name"
        done'
}

lacks_kvm() {
    LAB_CPU=qemu64 level1 &&
        to -n l1 virsh capabilities >/root/offered &&
        cat /root/offered &&
        grep -q "<domain type='qemu'" /root/offered &&
        ! grep -q "<domain type='kvm'" /root/offered
}

# An emulator runs here in a guest of another: Linux is up in it in minutes, and a system would not be in an hour.
emulated() {
    to -n l1 tiny-initrd /run/tiny.img &&
        to -n l1 "LAB_TYPE=qemu $tiny libvirt start classroom" &&
        console 'tiny: up' &&
        to -n l1 '(echo hello; sleep 9) >"$(virsh ttyconsole classroom)"' &&
        console 'tiny: hello'
}

# console LINE: waits for a line on the console of classroom.
console() {
    to -n l1 "until grep -q '$1' /run/classroom.log; do sleep 2; done"
}

mkdir /root/lab
cd /root/lab || exit
cp /mnt/lab/* .
chmod 600 key
# Level 1's image is a disk here.
ln -s /dev/vdb lab.img
modprobe -a tun bridge kvm_amd
end_when_told </dev/tty &
./bridge up

case $1 in
    libvirt)
        check "level 1 has an address, and its libvirt KVM" offers_kvm &&
            check "three guests of libvirt run in level 1, and have addresses" by_libvirt &&
            check "64 MiB go to level 1 and to a guest of libvirt, and back" transfer l1 server
        ;;
    nvmm)
        check "level 1 has an address" level1 &&
            check "three guests of nvmm run in level 1, and have addresses" by_nvmm &&
            check "64 MiB go to a guest of nvmm, and back" transfer classroom
        ;;
    domain)
        check "level 1 of a domain with sockets, cores and threads has an address" domain &&
            check "three guests of nvmm run in a level 1 of a domain, and have addresses" by_nvmm
        ;;
    qemu64)
        check "level 1 on qemu64 has an address, and its libvirt no KVM" lacks_kvm &&
            check "an emulated guest of libvirt runs in level 1 on qemu64, and answers on its console" emulated
        ;;
esac
./nvmm ctl /run/l1.qmp quit
wait "$vmm"
check "nothing is left on the bridge after $1" sh -c '! bridge link | grep . && ./bridge down'
echo "training: end"
poweroff
