//! A clean Debian with a user who has just heard of nvmm: the source, the files of a release, Rust, and nothing else.
//!
//! Each command runs in mount and PID namespaces of its own, so that neither a process nor a mount outlives it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::apt;
use crate::build;
use crate::system;

/// The Debian packages that make it, and the disks in it.
pub(crate) const PACKAGES: &[&str] = &["git", "iproute2", "mmdebstrap", "qemu-utils", "util-linux"];

/// The Debian packages in it, besides those that apt needs: Rust links with gcc.
const INCLUDED: &str = "ca-certificates,gcc,libc6-dev,mount,sudo";
const USER: &str = "stranger";
/// The folders of the user, and of the source in it.
pub(crate) const HOME: &str = "home/stranger";
pub(crate) const SOURCE: &str = "home/stranger/nvmm";
/// Prepares the user, whom mmdebstrap's hook makes.
const MAKE_USER: &str = "chroot \"$1\" sh -c 'groupadd --system kvm; \
                         useradd --create-home --shell /bin/bash --groups sudo,kvm stranger; \
                         echo \"stranger ALL=(ALL) NOPASSWD: ALL\" > /etc/sudoers.d/stranger; \
                         mkdir -p /opt/rust /build /home/stranger/.ssh /home/stranger/.cargo/registry; \
                         chown -R stranger: /build /home/stranger'";

/// Enters the root directory `$ROOT` and runs a command there. `$NETWORK` is `host`, or `own` for a network that leads nowhere, in which no
/// port is taken. (chroot would not do: in it, passt can't have a user namespace.)
const ENTER: &str = r#"
set -eu
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs dev
mkdir dev/net dev/pts dev/shm
chmod 1777 dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${node%:*} c 1 ${node#*:}; done
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/net/tun c 10 200
if [ -e /dev/kvm ]; then
    mknod -m 660 dev/kvm c 10 232
    chgrp "$(sed -n 's/^kvm:[^:]*:\([0-9]*\):.*/\1/p' etc/group)" dev/kvm
fi
cp /etc/resolv.conf etc/resolv.conf
echo "127.0.0.1 localhost $(uname -n)" > etc/hosts
mount --bind -o ro "$TOOLCHAIN" opt/rust
mount --bind -o ro "$REGISTRY" home/stranger/.cargo/registry
mount --bind "$BUILD" build
for folder in boot usr/lib/modules; do
    if [ -d "/$folder" ]; then mkdir -p $folder; mount --bind -o ro /$folder $folder; fi
done
if [ "$NETWORK" = own ]; then
    ip link set lo up
    ip tuntap add away mode tap
    ip address add 192.0.2.2/24 dev away
    ip link set away up
    ip route add default via 192.0.2.1 dev away
fi
pivot_root . mnt
umount -l /mnt
exec "$@"
"#;

/// The status of a failed `apt-get update`.
const NO_LISTS: i32 = 77;

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// The machine's, for packages.
    Host,
    /// One that leads nowhere.
    Own,
}

/// The Debian's root directory; it is removed at the end.
#[derive(Debug)]
pub(crate) struct Stranger {
    root: PathBuf,
    build: PathBuf,
    toolchain: PathBuf,
    registry: PathBuf,
}

impl Stranger {
    /// Makes it: this machine's release of Debian, from the mirror that the machine uses, with the source as git knows it.
    pub(crate) fn new() -> Result<Self> {
        let dir = build::lab_dir().join("stranger");
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let tar = dir.join("debian.tar");
        let arguments = arguments(&apt::here()?);
        system::made_once(&[&tar], &arguments.join("\n"), || {
            eprintln!("lab: making a clean Debian");
            let part = tar.with_extension("part");
            system::mmdebstrap(&arguments, &part)?;
            fs::rename(&part, &tar).with_context(|| format!("making {}", tar.display()))
        })?;
        let stranger = Self {
            root: dir.join("root"),
            build: dir.join("build"),
            toolchain: toolchain()?,
            registry: cargo_home()?.join("registry"),
        };
        ensure!(stranger.registry.is_dir(), "there is no {}", stranger.registry.display());
        stranger.remove();
        for folder in [&stranger.root, &stranger.build] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        apt::run(
            apt::as_root("tar").arg("--numeric-owner").arg("-C").arg(&stranger.root).arg("-xf").arg(tar),
        )?;
        stranger.clone_source()?;
        Ok(stranger)
    }

    /// The path in the machine's file system of one in the Debian.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Copies the files that git knows, as they are now and with their times: unchanged ones are not compiled again.
    fn clone_source(&self) -> Result<()> {
        let copy = r#"mkdir -p "$1"; git ls-files -z | tar --null -T - -c | tar -C "$1" -x"#;
        let source = self.path(SOURCE);
        let list = Command::new("git").arg("ls-files").current_dir(build::root()).output();
        ensure!(list.is_ok_and(|list| list.status.success()), "this is no clone of git's");
        let mut command = apt::as_root("env");
        command.args(["GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"]);
        command.args(["bash", "-euo", "pipefail", "-c", copy, "copy"]).arg(source);
        apt::run(command.current_dir(build::root())).map(drop)
    }

    /// Copies files of the machine into the folder of the source.
    pub(crate) fn put(&self, files: &[PathBuf]) -> Result<()> {
        apt::run(apt::as_root("cp").args(files).arg(self.path(SOURCE))).map(drop)
    }

    /// Gives the user the source, and updates the lists of packages. If these or namespaces can't be had, returns the reason.
    pub(crate) fn settle(&self) -> Result<Option<String>> {
        let entered = self.enter(Network::Own).arg("true").output().context("starting unshare")?;
        if !entered.status.success() {
            return Ok(Some(format!("a root directory of its own: {}", last_lines(&entered))));
        }
        let script =
            format!("chown -R {USER}: /build /{SOURCE} && {{ apt-get update -qq || exit {NO_LISTS}; }}");
        let mut command = self.enter(Network::Host);
        let output = command.args(["sh", "-c", &script]).output().context("starting unshare")?;
        let told = last_lines(&output);
        if output.status.code() == Some(NO_LISTS) {
            return Ok(Some(format!("apt-get update: {told}")));
        }
        ensure!(output.status.success(), "{}: {told}", output.status);
        Ok(None)
    }

    /// Has the user paste `line` into a shell in the folder of the source, with `answer` on standard input. The line has `seconds`.
    pub(crate) fn paste(&self, line: &str, answer: &str, network: Network, seconds: u32) -> Result<Output> {
        let mut command = self.enter(network);
        command.args(["runuser", "--user", USER, "--", "env", "--ignore-environment"]);
        command.args([&format!("HOME=/{HOME}"), &format!("USER={USER}"), "LANG=C.UTF-8", "TERM=dumb"]);
        command.arg(format!("PATH=/usr/local/bin:/usr/bin:/bin:/opt/rust/bin:/{HOME}/.cargo/bin"));
        // The words of the README as quickly as they can be carried out, with the crates that are here.
        command.args(["CARGO_TARGET_DIR=/build", "CARGO_NET_OFFLINE=true", "CARGO_PROFILE_RELEASE_LTO=off"]);
        command.args(["CARGO_PROFILE_RELEASE_OPT_LEVEL=0", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256"]);
        command.args(["timeout", "--kill-after=5", &seconds.to_string(), "bash", "-c"]);
        command
            .arg(format!("cd /{SOURCE} || exit\n[ -z \"$0\" ] || exec < <(echo \"$0\")\n{line}\n"))
            .arg(answer);
        command.stdin(Stdio::null()).output().context("starting unshare")
    }

    /// A command in the Debian, whose words are still to be added.
    fn enter(&self, network: Network) -> Command {
        let mut command = apt::as_root("env");
        let folders = [
            ("ROOT", &self.root),
            ("TOOLCHAIN", &self.toolchain),
            ("REGISTRY", &self.registry),
            ("BUILD", &self.build),
        ];
        for (name, path) in folders {
            let mut variable = OsString::from(format!("{name}="));
            variable.push(path);
            command.arg(variable);
        }
        let (name, namespace) = match network {
            Network::Host => ("host", None),
            Network::Own => ("own", Some("--net")),
        };
        command.arg(format!("NETWORK={name}"));
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child"]).args(namespace);
        command.args(["sh", "-c", ENTER, "enter"]);
        command
    }

    fn remove(&self) {
        // Without one there is nothing to remove.
        let _ = apt::run(apt::as_root("rm").args(["-rf", "--one-file-system"]).arg(&self.root));
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The folder of this Rust.
fn toolchain() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    let output = apt::run(rustc.args(["--print", "sysroot"]).current_dir(build::root()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// cargo's folder, which has the sources of crates.
fn cargo_home() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// mmdebstrap's arguments to write an archive to its standard output.
fn arguments(source: &apt::Here) -> Vec<String> {
    let mut arguments = vec!["--variant=apt".to_owned(), format!("--include={INCLUDED}")];
    arguments.extend(system::EXCLUDED.map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push(format!("--customize-hook={MAKE_USER}"));
    arguments.extend([source.release.clone(), "-".to_owned(), source.line("")]);
    arguments
}

/// The lines of an output to show with a failure.
pub(crate) fn last_lines(output: &Output) -> String {
    const LINES: usize = 30;
    let text =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Makes a disk whose boot sector prints `text` on COM1 and powers off by APM.
pub(crate) fn disk(path: &Path, text: &str) -> Result<()> {
    #[rustfmt::skip]
    const CODE: [u8; 34] = [
        0xfa,             // 7c00 cli: SeaBIOS has text of its own to print
        0x31, 0xc0,       //      xor ax, ax
        0x8e, 0xd8,       //      mov ds, ax
        0xfc,             //      cld
        0xbe, 0x22, 0x7c, //      mov si, the text's address
        0xac,             // next: lodsb
        0x84, 0xc0,       //      test al, al
        0x74, 0x06,       //      jz off
        0xba, 0xf8, 0x03, //      mov dx, 3f8h
        0xee,             //      out dx, al
        0xeb, 0xf5,       //      jmp next
        0xb8, 0x07, 0x53, // off: mov ax, 5307h
        0xbb, 0x01, 0x00, //      mov bx, 1
        0xb9, 0x03, 0x00, //      mov cx, 3
        0xcd, 0x15,       //      int 15h
        0xf4,             //      hlt
        0xeb, 0xfd,       //      jmp the hlt
    ];
    let mut bytes = CODE.to_vec();
    bytes.extend(text.bytes());
    bytes.resize(1 << 20, 0);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
