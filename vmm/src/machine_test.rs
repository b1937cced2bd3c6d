use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use devices::{
    bus::{self, Effect},
    state::Stateless,
};

use super::*;
use crate::{
    args::{MachineArgs, OnReboot},
    board::IsaSpec,
    kernel::testing::{self, Elf},
    link::{self, Inbox},
    source::{Command, News, Request, Source},
};

/// Waits for devices that are busy for `busy`, with a simulated clock. Returns the devices that are still busy, and the time.
fn stopped(resets: bool, busy: Duration, end_is_asked_at: Duration) -> (Vec<String>, Duration) {
    let now = std::cell::Cell::new(Duration::ZERO);
    let stop = |time| {
        now.set(now.get() + time);
        if now.get() >= busy { Vec::new() } else { vec!["disk x".to_owned()] }
    };
    let devices = stop_in_time(resets, stop, || now.get(), || now.get() >= end_is_asked_at);
    (devices, now.get())
}

#[test]
fn a_reset_waits_a_minute_for_its_devices_and_the_end_two_seconds() {
    let seconds = Duration::from_secs;
    let never = Duration::MAX;
    for (resets, most) in [(true, seconds(60)), (false, seconds(2))] {
        let (devices, waited) = stopped(resets, never, never);
        assert_eq!((devices, waited), (vec!["disk x".to_owned()], most));
        let (devices, waited) = stopped(resets, most - seconds(1), never);
        assert_eq!((devices, waited), (vec![], most - seconds(1)));
        assert_eq!(stopped(resets, Duration::ZERO, never), (vec![], Duration::from_millis(100)));
    }
    // The user requests the end, and the reset is abandoned at once.
    assert_eq!(stopped(true, never, seconds(5)).1, seconds(5));
    assert_eq!(stopped(false, never, seconds(1)).1, seconds(2));
}

/// A device that blocks the vCPU that writes to it, like a slow file behind a serial port.
#[derive(Debug, Clone)]
struct Slow(Arc<Mutex<Held>>, Arc<AtomicBool>);

/// The signal that a write has started, and the permission it waits for.
#[derive(Debug)]
struct Held {
    is_in: SyncSender<()>,
    may_go: Receiver<()>,
}

impl bus::BusDevice for Slow {
    fn read(&mut self, _: u64, _: &mut [u8]) {}

    fn write(&mut self, _: u64, _: &[u8]) -> Effect {
        self.1.store(true, Ordering::SeqCst);
        let held = self.0.lock().unwrap();
        held.is_in.send(()).unwrap();
        held.may_go.recv().unwrap();
        self.1.store(false, Ordering::SeqCst);
        Effect::None
    }
}

impl Stateless for Slow {}

impl OpenDevice for Slow {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let spec = IsaSpec { name: "slow", ports: (0x500, 1), gsi: None, acpi: None, backend: None };
        board.isa(spec, |_| Ok(self.clone()))?;
        Ok(())
    }
}

/// Waits for the next news of the machine's end.
fn next_end(inbox: &mut Inbox, heard: &mut Vec<Request>) -> News {
    loop {
        let end = |request: &Request| matches!(request, Request::News(News::Halts | News::Stops(_)));
        if let Some(at) = heard.iter().position(end)
            && let Request::News(news) = heard.remove(at)
        {
            return news;
        }
        thread::sleep(Duration::from_millis(1));
        inbox.ready(0, heard);
    }
}

#[test]
fn no_vcpu_has_a_device_when_the_main_thread_lets_go_of_it() {
    let host = match Host::open(Path::new("/dev/kvm")) {
        Ok(host) => host,
        Err(error) => return println!("skipped: {error}"),
    };
    // mov dx, 0x500; out dx, al; hlt
    let mut kernel = Elf::new();
    kernel.contents.push((0x1000, vec![0x66, 0xba, 0x00, 0x05, 0xee, 0xf4]));
    let kernel = testing::file(&kernel.bytes());
    let args = MachineArgs {
        kernel: Some(kernel.path().to_owned()),
        memory: "64M".to_owned(),
        ..MachineArgs::default()
    };
    let config = VmConfig::new(&args).unwrap();
    let payload = Payload::open(&config, false).unwrap().unwrap();

    let ((is_in, entered), (go, may_go)) = (mpsc::sync_channel(1), mpsc::sync_channel(1));
    let in_write = Arc::new(AtomicBool::new(false));
    let slow = Slow(Arc::new(Mutex::new(Held { is_in, may_go })), Arc::clone(&in_write));
    let (link, controls, mut inbox) = link::ends(None).unwrap();
    let machine = thread::spawn(move || {
        let machine = Machine::build(&host, &config, &payload, &[Box::new(slow)], None).unwrap();
        let (mut reboots, mut debugger) = (Reboots::new(OnReboot::Reset, None), Debugger::default());
        let origin = Origin {
            words: &[],
            folder: Path::new("/"),
            host: &host,
            config: &config,
            payload: &payload,
            devices: &[],
            files: &[],
        };
        machine.run(&link, &mut reboots, &mut debugger, &Taken::default(), &origin, false).unwrap().0
    });
    entered.recv().unwrap();
    controls.send(Command::Quit(Exit::Quit));
    let mut heard = Vec::new();
    assert!(matches!(next_end(&mut inbox, &mut heard), News::Halts), "it is told that nobody hears now");
    go.send(()).unwrap();
    let stops = next_end(&mut inbox, &mut heard);
    assert!(matches!(stops, News::Stops(_)) && !in_write.load(Ordering::SeqCst));
    drop((stops, heard));
    assert!(matches!(machine.join().unwrap(), Some(Exit::Quit)));
}
