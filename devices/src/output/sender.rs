//! The thread that sends an output's bytes.

use std::{sync::Arc, time::Instant};

use super::{BATCH, Reader, Shared, State};
use crate::threads::{self, Role};

impl Shared {
    /// Starts the thread.
    pub(super) fn start(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        match threads::spawn(&Role::Output(self.options.name.to_owned()), move || shared.send_all()) {
            Ok(_) => state.started = true,
            // The next byte makes another attempt.
            Err(_) => state.lost += state.waiting.drain(..).count() as u64,
        }
    }

    /// Runs the thread, until nvmm ends.
    fn send_all(&self) {
        let mut failing = false;
        loop {
            // Wait for the timer. The only possible error is an interruption by a signal.
            let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
            self.state().armed = false;
            while let Some((reader, batch)) = self.next_batch() {
                let mut left = &batch[..];
                let sent = reader.send(&mut left);
                let mut state = self.state();
                state.sending = false;
                if self.changes_readers {
                    state.sent_at = Some(Instant::now());
                    state.gone += (batch.len() - left.len()) as u64;
                    if sent.is_err() {
                        state.put_back(left);
                        state.reader.take_if(|it| Arc::ptr_eq(it, &reader));
                    }
                } else {
                    state.gone += batch.len() as u64;
                }
                state.tell_if_gone();
                self.room.notify_all();
                drop(state);
                match sent {
                    Ok(()) => failing = false,
                    Err(error) if self.changes_readers => {
                        log::debug!("{}: the reader has gone: {error}", self.options.name);
                    }
                    Err(error) if !std::mem::replace(&mut failing, true) && self.options.tell => {
                        log::warn!("{} is lost: {error}", self.options.name);
                    }
                    Err(_) => {}
                }
            }
        }
    }

    fn next_batch(&self) -> Option<(Arc<Reader>, Vec<u8>)> {
        let mut state = self.state();
        let reader = Arc::clone(state.reader.as_ref()?);
        // At the end, send less at a time: then a slow terminal is seen to read.
        let most = if state.finishing.is_some() && !self.lossless { BATCH / 16 } else { BATCH };
        let len = state.waiting.len().min(most);
        if len == 0 {
            return None;
        }
        state.sending = true;
        let batch = state.waiting.drain(..len).collect();
        self.room.notify_all();
        Some((reader, batch))
    }
}
