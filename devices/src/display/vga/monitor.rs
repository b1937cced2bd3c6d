//! The screen that is connected to the adapter.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use arch::memory::GuestRam;

use super::{
    super::{Picture, Screen},
    adapter::{Adapter, lock},
    linear::Canvas,
    mode::Mode,
    text::TextCanvas,
};
use crate::pci::{BarMemory, DirtyLog};

/// A screen that outlives the machine's resets: it keeps the last picture until the next machine has one.
#[derive(Debug, Default)]
pub struct Monitor(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    picture: Picture,
    /// The machine that it is connected to.
    source: Option<Source>,
}

/// An adapter, and the memory that it shows.
#[derive(Debug)]
pub(super) struct Source {
    adapter: Arc<Mutex<Adapter>>,
    video: Arc<BarMemory>,
    memory: GuestRam,
    log: Arc<dyn DirtyLog>,
    /// The mode when the picture was last drawn.
    drawn: Mode,
    canvas: Canvas,
    text: TextCanvas,
    /// Set after the message that planar modes are not drawn.
    said_planar: bool,
}

/// The connection of a monitor to its machine. When it is dropped, the monitor keeps nothing of the machine.
#[derive(Debug)]
pub(super) struct Plug(Arc<Monitor>);

impl Drop for Plug {
    fn drop(&mut self) {
        lock(&self.0.0).source = None;
    }
}

impl Monitor {
    /// Connects `monitor` to a machine.
    pub(super) fn plug(monitor: &Arc<Self>, source: Source) -> Plug {
        lock(&monitor.0).source = Some(source);
        Plug(Arc::clone(monitor))
    }
}

impl Screen for Monitor {
    fn look(&self, look: &mut dyn FnMut(&Picture)) {
        let mut shown = lock(&self.0);
        let Shown { picture, source } = &mut *shown;
        if let Some(source) = source {
            source.refresh(picture);
        }
        look(picture);
    }
}

impl Source {
    /// The memory and the registers of a machine that shows nothing yet.
    pub(super) fn new(
        adapter: Arc<Mutex<Adapter>>,
        video: Arc<BarMemory>,
        memory: GuestRam,
        log: Arc<dyn DirtyLog>,
    ) -> Self {
        Self {
            adapter,
            video,
            memory,
            log,
            drawn: Mode::Loading,
            canvas: Canvas::default(),
            text: TextCanvas::default(),
            said_planar: false,
        }
    }

    /// Draws what has changed. It locks the adapter's registers only once, so that a vCPU doesn't wait longer.
    fn refresh(&mut self, picture: &mut Picture) {
        let mode = lock(&self.adapter).mode();
        let all = mode != self.drawn;
        match &mode {
            Mode::Blank if all => {
                let (width, height) = picture.size();
                picture.begin(width, height);
                let black = vec![0; width.into()];
                (0..height).for_each(|row| picture.draw_row(row, &black));
            }
            Mode::Blank => {}
            Mode::Text(text) => {
                let before = match &self.drawn {
                    Mode::Text(before) => Some(&**before),
                    _ => None,
                };
                self.text.draw(picture, &self.memory, text, before);
            }
            Mode::Linear(linear, palette) => {
                // Later writes are in the next log.
                self.log.collect(&self.video);
                let dirty = self.video.dirty().map_or_else(Vec::new, |dirty| dirty.take());
                let video = self.video.as_volatile_slice();
                self.canvas.draw(picture, &video, (linear, palette.as_ref()), &dirty, all);
            }
            Mode::Chained(chained, palette) => {
                self.canvas.draw_chained(picture, &self.memory, (chained, palette), all);
            }
            // Keep the last picture, as if this were drawn.
            Mode::Loading => return,
            Mode::Planar => {
                if !mem::replace(&mut self.said_planar, true) {
                    log::info!(
                        "the guest has set a planar mode of the VGA, which is not drawn: the screen stays as it is"
                    );
                }
                return;
            }
        }
        self.drawn = mode;
    }
}

#[cfg(test)]
#[path = "monitor_test.rs"]
mod tests;
