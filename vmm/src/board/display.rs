//! `--display`: the screen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use arch::{boot::Framebuffer, layout};
use devices::{
    display::{
        Screen,
        vga::{DispiPorts, Monitor, Resolution, Vga, VgaPorts},
    },
    input::{Hub, Input, Pointing},
    virtio::input::Reports,
};

use super::{
    Board, BoardError, IsaSpec, OpenDevice, Opening, keyboard, screen::PluggedScreen, tablet,
    viewers::OpenViewers,
};
use crate::config::DisplayConfig;

/// A monitor, a keyboard and a tablet. They outlive the machine's resets, and so do their viewers' connections.
#[derive(Debug)]
pub(super) struct OpenDisplay {
    monitor: Arc<Monitor>,
    input: Arc<Hub>,
    tablet: Arc<Reports>,
    viewers: Option<OpenViewers>,
    resolution: Resolution,
}

impl OpenDisplay {
    /// Makes a monitor that shows nothing yet, with a VNC server if one is asked for.
    ///
    /// # Errors
    ///
    /// Viewers can't connect in the way that was asked for, or no descriptor is left.
    pub(super) fn open(config: &DisplayConfig, opening: &mut Opening<'_>) -> anyhow::Result<Self> {
        let (monitor, input) = (Arc::<Monitor>::default(), Arc::<Hub>::default());
        let tablet = Arc::new(Reports::new().context("the tablet can't be made")?);
        input.plug_tablet(&(Arc::clone(&tablet) as Arc<dyn Pointing>));
        let open = |vnc| {
            let screen = Arc::clone(&monitor) as Arc<dyn Screen>;
            OpenViewers::open(vnc, opening, screen, Arc::clone(&input) as Arc<dyn Input>)
        };
        let viewers = config.vnc.as_ref().map(open).transpose()?;
        Ok(Self { monitor, input, tablet, viewers, resolution: config.resolution })
    }

    fn plug_vga(&self, board: &mut Board) -> Result<(), BoardError> {
        let (memory, log, resolution) = (board.memory().clone(), board.vm.dirty_log(), self.resolution);
        let make = |error| BoardError::Make("video memory", error);
        let (address, vga) =
            board.pci(|_, _| Vga::new(&self.monitor, memory, log, resolution).map_err(make))?;
        let spec =
            |name, port, len| IsaSpec { name, ports: (port, len), gsi: None, acpi: None, backend: None };
        for (port, len) in [(layout::VGA_MONOCHROME, VgaPorts::MONOCHROME_LEN), (layout::VGA, VgaPorts::LEN)]
        {
            let ports = lock(&vga).ports(port);
            board.isa(spec("VGA", port, len), |_| Ok(ports))?;
        }
        let ports = lock(&vga).dispi_ports();
        board.isa(spec("VGA's dispi interface", layout::DISPI, DispiPorts::LEN), |_| Ok(ports))?;
        let typist = keyboard::plug(board, &self.input)?;
        tablet::plug(board, &self.tablet);
        let vga = lock(&vga);
        // Firmware places video memory itself, and sets modes itself.
        let framebuffer = vga.video_memory().and_then(|base| {
            let Resolution { width, height } = resolution;
            let pitch = u16::try_from(vga.set_mode(resolution)).ok()?;
            Some(Framebuffer { base: u32::try_from(base).ok()?, width, height, pitch })
        });
        board.screen = Some(PluggedScreen {
            address,
            screen: Arc::clone(&self.monitor) as Arc<dyn Screen>,
            framebuffer,
            typist,
            input: Arc::clone(&self.input),
            viewers: self.viewers.as_ref().map(OpenViewers::viewers),
        });
        Ok(())
    }
}

impl OpenDevice for OpenDisplay {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        self.plug_vga(board).context("the screen can't be plugged in (--display none leaves it out)")
    }
}

fn lock(vga: &Mutex<Vga>) -> MutexGuard<'_, Vga> {
    vga.lock().unwrap_or_else(PoisonError::into_inner)
}
