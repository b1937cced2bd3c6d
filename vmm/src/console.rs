//! `nvmm console`: the terminal, connected to a guest's serial port.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, OpenOptionsExt},
            net::UnixStream,
        },
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use devices::{
    chars,
    output::{Output, OutputOptions},
    printable::ToPrintable,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    termios::{OptionalActions, isatty, tcgetattr, tcsetattr},
};

use crate::{
    exit::{COULD_NOT, SIGNAL},
    keys::{self, CTRL_A, Escapes, Key, TYPED},
    signals::{self, Signals},
    terminal::Terminal,
};

/// The number of bytes that wait here for a slow reader of stdout. More bytes wait with the port.
const SHOWN_AHEAD: u64 = 64 << 10;
/// The interval for checking whether such a reader has read.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// The most bytes in which a refusal is looked for.
const REFUSAL: usize = 256;

const PLACES: &str = "give the path of a socket or terminal, or HOST:PORT";

const HELP: &str = "\
The terminal is raw: every key is the guest's, Ctrl-C too, except
  Ctrl-A x   leave the console; the guest runs on
  Ctrl-A a   send Ctrl-A to the guest
  Ctrl-A h   list these keys

Exit status:
  0  Ctrl-A x was typed, or the other side hung up, as when its machine ends
  1  there is no connection, also because the port has another one
  2  the command line is wrong";

/// `nvmm console`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct ConsoleArgs {
    /// The port, where --serial placed it
    ///
    /// The port, as --serial placed it: a socket's or a pseudoterminal's path, or HOST:PORT
    #[arg(value_name = "PATH|HOST:PORT")]
    place: OsString,
}

/// The console while it is attached.
struct Console {
    signals: Signals,
    terminal: Option<Terminal>,
    escapes: Escapes,
    /// stdin may have more input.
    reads: bool,
    peer: File,
    /// Typed bytes that the peer has not accepted yet.
    pending: Vec<u8>,
    told_of_loss: bool,
    output: Output,
    /// The number of bytes that were passed to `output`.
    shown: u64,
    /// The first bytes, which may be a refusal.
    first: Vec<u8>,
}

/// The ways in which a console ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The user leaves it.
    Left,
    /// The other side hung up.
    HungUp,
    /// The other side is an nvmm that refused the connection.
    Refused,
    /// The reader of stdout is gone.
    Unread,
    Signal(i32),
}

/// Attaches the terminal until the user leaves or the port hangs up. The value is the exit status.
///
/// # Errors
///
/// The port can't be connected to, or the terminal can't be set up.
pub fn run(args: &ConsoleArgs) -> Result<u8> {
    let name = args.place.printable();
    // At this point, signals still have their default actions.
    let peer = File::from(connect(&args.place)?);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned().context("stdout")?);
    fcntl_setfl(&peer, fcntl_getfl(&peer)? | OFlags::NONBLOCK)?;
    let options = OutputOptions { name: "stdout", delay: Duration::ZERO, tell: true, waits: true };
    let mut console = Console {
        signals: Signals::new()?,
        terminal: Terminal::new()?,
        escapes: Escapes::default(),
        reads: true,
        peer,
        pending: Vec::new(),
        told_of_loss: false,
        output: Output::new(stdout, options)?,
        shown: 0,
        first: Vec::new(),
    };
    if let Some(terminal) = &console.terminal {
        terminal.take()?;
        eprintln!("nvmm: connected to {name}; Ctrl-A x leaves, Ctrl-A h helps");
    }
    let end = console.serve()?;
    console.output.wait();
    drop(console.terminal);
    Ok(match end {
        End::Left | End::Unread => 0,
        End::HungUp => {
            eprintln!("nvmm: {name} has hung up");
            0
        }
        End::Refused => {
            eprintln!("nvmm: {name} ended the connection at once");
            COULD_NOT
        }
        End::Signal(number) => u8::try_from(number).map_or(SIGNAL, |number| SIGNAL + number),
    })
}

/// Connects to the place that the user names: an existing file, or a host.
fn connect(place: &OsStr) -> Result<OwnedFd> {
    let name = place.printable();
    let path = Path::new(place);
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            Ok(UnixStream::connect(path).with_context(|| format!("{name}"))?.into())
        }
        Ok(found) if found.file_type().is_char_device() => {
            let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
            let options = File::options().read(true).write(true).custom_flags(flags).clone();
            let terminal = options.open(path).with_context(|| format!("{name}"))?;
            if !isatty(&terminal) {
                bail!("{name}: that is no terminal; {PLACES}");
            }
            // Turn off the terminal's echo, or the guest's output would be sent back to it.
            let mut modes = tcgetattr(&terminal)?;
            modes.make_raw();
            tcsetattr(&terminal, OptionalActions::Now, &modes)?;
            Ok(terminal.into())
        }
        Ok(_) => bail!("{name}: that is no serial port; {PLACES}"),
        Err(error) => match place.to_str().and_then(|text| text.rsplit_once(':')) {
            Some((host, port)) => {
                let Some(port) = port.parse::<u16>().ok().filter(|&port| port != 0) else {
                    bail!("{name}: there is no such file, and no such TCP port (1 to 65535); {PLACES}");
                };
                let host = if host.is_empty() { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
                let stream = TcpStream::connect((host, port)).with_context(|| format!("{name}"))?;
                // Send each key at once.
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            None if place.is_empty() => bail!("the port has no name; {PLACES}"),
            None if error.kind() == ErrorKind::NotFound => bail!("{name}: there is no such file; {PLACES}"),
            None => Err(error).with_context(|| format!("{name}")),
        },
    }
}

impl Console {
    fn serve(&mut self) -> Result<End> {
        loop {
            if let Some(end) = self.turn()? {
                return Ok(end);
            }
        }
    }

    /// Waits for an event and handles it. Returns the end, if this is it.
    fn turn(&mut self) -> Result<Option<End>> {
        let (stdin, stdout) = (rustix::stdio::stdin(), io::stdout());
        let ahead = self.shown.saturating_sub(self.output.gone()) > SHOWN_AHEAD;
        let wanted = |wanted: bool, flags: PollFlags| if wanted { flags } else { PollFlags::empty() };
        let mut ready = [
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::new(&stdout, PollFlags::empty()),
            PollFd::new(
                &self.peer,
                wanted(!ahead, PollFlags::IN) | wanted(!self.pending.is_empty(), PollFlags::OUT),
            ),
            PollFd::from_borrowed_fd(stdin, PollFlags::IN),
        ];
        // Input from a pipe waits for the peer. Keys are always read, since one of them leaves the console.
        let reads = self.reads && (self.terminal.is_some() || self.pending.is_empty());
        let watched = if reads { &mut ready[..] } else { &mut ready[..3] };
        match poll(watched, ahead.then_some(&LOOK)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let [signal, unread, from_peer, typed] = ready.map(|it| it.revents());
        if !signal.is_empty()
            && let Some(end) = self.on_signal()?
        {
            return Ok(Some(end));
        }
        if unread.contains(PollFlags::ERR) {
            return Ok(Some(End::Unread));
        }
        self.send();
        if !from_peer.is_empty() && !ahead && !self.show() {
            let refused = self.shown == self.first.len() as u64 && chars::is_refusal(&self.first);
            return Ok(Some(if refused { End::Refused } else { End::HungUp }));
        }
        let leaves = reads && !typed.is_empty() && self.read();
        Ok(leaves.then_some(End::Left))
    }

    fn on_signal(&mut self) -> Result<Option<End>> {
        match self.signals.next().map(|signal| signal.number) {
            None | Some(libc::SIGUSR1) => {}
            Some(libc::SIGTSTP) => {
                self.terminal.iter().for_each(Terminal::give_back);
                signals::stop();
                self.take_terminal()?;
            }
            Some(libc::SIGCONT) => self.take_terminal()?,
            Some(number) => return Ok(Some(End::Signal(number))),
        }
        Ok(None)
    }

    fn take_terminal(&self) -> io::Result<()> {
        self.terminal.as_ref().map_or(Ok(false), Terminal::take).map(|_| ())
    }

    /// Shows the peer's output. Returns whether the peer is still connected.
    fn show(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.peer.read(&mut bytes) {
            Ok(len @ 1..) => {
                self.shown += len as u64;
                self.first.extend(bytes[..len].iter().take(REFUSAL.saturating_sub(self.first.len())));
                // It can't fail.
                let _ = self.output.write_all(&bytes[..len]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            Ok(0) => false,
        }
    }

    /// Reads typed keys. Returns whether the user leaves.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let len = match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
            Ok(len) => len,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return false,
            Err(_) => 0,
        };
        if len == 0 {
            self.reads = false;
        }
        if self.terminal.is_none() {
            self.pending.extend(&bytes[..len]);
        } else {
            let mut typed = Vec::new();
            for &byte in &bytes[..len] {
                match self.escapes.feed(byte, &mut typed) {
                    Some(Key::Quit) => return true,
                    Some(Key::Help) => self.output.offer(keys::help(keys::OF_CONSOLE).as_bytes()),
                    // The console can't pause the machine.
                    Some(Key::Pause) => typed.extend([CTRL_A, byte]),
                    None => {}
                }
            }
            let taken = typed.len().min(TYPED.saturating_sub(self.pending.len()));
            self.pending.extend(&typed[..taken]);
            if taken < typed.len() && !std::mem::replace(&mut self.told_of_loss, true) {
                eprintln!(
                    "nvmm: the guest reads no input; of what is typed, all after the first {TYPED} bytes is lost"
                );
            }
        }
        self.send();
        false
    }

    /// Sends the peer as many typed bytes as it accepts.
    fn send(&mut self) {
        while !self.pending.is_empty() {
            match self.peer.write(&self.pending) {
                Ok(len) => drop(self.pending.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Its last output may still be coming.
                Err(_) => (self.reads, self.pending) = (false, Vec::new()),
            }
        }
    }
}
