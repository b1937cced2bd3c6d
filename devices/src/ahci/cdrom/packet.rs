//! The commands of MMC-6 and SPC-4, which come in packets.

use super::{
    Cdrom, inquiry,
    outcome::Packet,
    sense::Sense,
    tray::{BLOCK, Event, Medium},
};
use crate::disk::SECTOR_SIZE;

/// "Operation code".
mod operation {
    pub(super) const TEST_UNIT_READY: u8 = 0x00;
    pub(super) const REQUEST_SENSE: u8 = 0x03;
    pub(super) const INQUIRY: u8 = 0x12;
    pub(super) const START_STOP_UNIT: u8 = 0x1b;
    pub(super) const PREVENT_ALLOW_MEDIUM_REMOVAL: u8 = 0x1e;
    pub(super) const READ_CAPACITY: u8 = 0x25;
    pub(super) const READ_10: u8 = 0x28;
    pub(super) const SEEK_10: u8 = 0x2b;
    pub(super) const SYNCHRONIZE_CACHE: u8 = 0x35;
    pub(super) const READ_TOC: u8 = 0x43;
    pub(super) const GET_CONFIGURATION: u8 = 0x46;
    pub(super) const GET_EVENT_STATUS_NOTIFICATION: u8 = 0x4a;
    pub(super) const READ_DISC_INFORMATION: u8 = 0x51;
    pub(super) const READ_TRACK_INFORMATION: u8 = 0x52;
    pub(super) const MODE_SENSE_10: u8 = 0x5a;
    pub(super) const READ_12: u8 = 0xa8;
    pub(super) const SET_CD_SPEED: u8 = 0xbb;
    pub(super) const MECHANISM_STATUS: u8 = 0xbd;
}

/// The most blocks that a CD has: a medium with more is a DVD.
const CD_BLOCKS: u32 = 450_000;

/// MMC-6, "Profile list".
const PROFILE_CD_ROM: u16 = 0x0008;
const PROFILE_DVD_ROM: u16 = 0x0010;

/// The track number of the lead-out.
const LEAD_OUT: u8 = 0xaa;

impl Cdrom {
    /// Carries out a command. It reads no blocks itself: the answer says which blocks to read.
    pub(super) fn obey(&self, packet: &[u8; 16]) -> Result<Packet, Sense> {
        let code = packet[0];
        // SPC-4, "Unit attention condition": these commands are answered in spite of one.
        let is_told_first = matches!(
            code,
            operation::INQUIRY
                | operation::REQUEST_SENSE
                | operation::GET_CONFIGURATION
                | operation::GET_EVENT_STATUS_NOTIFICATION
        );
        if !is_told_first && let Some(attention) = self.tray.take_attention() {
            return Err(attention);
        }
        let sense = self.sense().take();
        let allowed = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        match code {
            operation::TEST_UNIT_READY => self.tray.loaded().map(|_| Packet::Done),
            operation::REQUEST_SENSE => {
                let sense = sense.or_else(|| self.tray.take_attention());
                give(Sense::to_fixed_format(sense), packet[4].into())
            }
            operation::INQUIRY if packet[1] & 1 == 0 => give(inquiry::standard(), allowed(3)),
            operation::INQUIRY => give(inquiry::page(packet[2]).ok_or(Sense::BAD_FIELD)?, allowed(3)),
            operation::START_STOP_UNIT => self.start_stop(packet[4]),
            operation::PREVENT_ALLOW_MEDIUM_REMOVAL => {
                self.tray.lock(packet[4] & 1 != 0);
                Ok(Packet::Done)
            }
            operation::READ_CAPACITY => {
                let blocks = self.medium()?.blocks();
                let (last, size) = (blocks.saturating_sub(1), 2048_u32);
                Ok(Packet::Give([last.to_be_bytes(), size.to_be_bytes()].concat()))
            }
            operation::READ_10 => self.read(word(packet, 2), allowed(7).try_into().unwrap_or(u32::MAX)),
            operation::READ_12 => self.read(word(packet, 2), word(packet, 6)),
            operation::SEEK_10 if word(packet, 2) >= self.medium()?.blocks() => Err(Sense::OUT_OF_RANGE),
            operation::SEEK_10 | operation::SYNCHRONIZE_CACHE | operation::SET_CD_SPEED => Ok(Packet::Done),
            operation::READ_TOC => {
                let toc =
                    toc(&self.medium()?, packet[1] & 2 != 0, packet[2] & 0xf | packet[9] >> 6, packet[6]);
                give(toc.ok_or(Sense::BAD_FIELD)?, allowed(7))
            }
            operation::GET_CONFIGURATION => {
                let starting = u16::from_be_bytes([packet[2], packet[3]]);
                give(self.configuration(packet[1] & 3, starting), allowed(7))
            }
            operation::GET_EVENT_STATUS_NOTIFICATION => {
                if packet[1] & 1 == 0 {
                    // Only polling is supported.
                    return Err(Sense::BAD_FIELD);
                }
                give(self.events(packet[4]), allowed(7))
            }
            operation::READ_DISC_INFORMATION if packet[1] & 7 == 0 => {
                self.medium()?;
                give(disc_information(), allowed(7))
            }
            operation::READ_TRACK_INFORMATION => give(track_information(self.medium()?.blocks()), allowed(7)),
            operation::MODE_SENSE_10 if packet[2] >> 6 == 3 => Err(Sense::SAVING_UNSUPPORTED),
            operation::MODE_SENSE_10 => {
                let locked = self.tray.is_locked();
                give(inquiry::mode_sense(packet[2] & 0x3f, locked).ok_or(Sense::BAD_FIELD)?, allowed(7))
            }
            operation::MECHANISM_STATUS => {
                let mut status = vec![0; 8];
                status[1] = if self.tray.is_open() { 1 << 4 } else { 0 };
                give(status, allowed(8))
            }
            operation::READ_DISC_INFORMATION => Err(Sense::BAD_FIELD),
            _ => Err(Sense::UNKNOWN_COMMAND),
        }
    }

    fn medium(&self) -> Result<Medium, Sense> {
        self.tray.loaded()
    }

    fn start_stop(&self, bits: u8) -> Result<Packet, Sense> {
        // Obey load and eject. Power conditions and the motor have no effect.
        if bits & 0xf0 == 0 && bits & 2 != 0 {
            if bits & 1 == 0 {
                self.tray.open_by_guest()?;
            } else {
                self.tray.close();
            }
        }
        Ok(Packet::Done)
    }

    fn read(&self, first: u32, count: u32) -> Result<Packet, Sense> {
        let medium = self.medium()?;
        let end = first.checked_add(count).ok_or(Sense::OUT_OF_RANGE)?;
        if end > medium.blocks() {
            return Err(Sense::OUT_OF_RANGE);
        }
        if count == 0 {
            return Ok(Packet::Done);
        }
        let len = usize::try_from(u64::from(count) * BLOCK).map_err(|_| Sense::OUT_OF_RANGE)?;
        let sector = u64::from(first) * (BLOCK / SECTOR_SIZE);
        Ok(Packet::Read { disk: medium.disk, sector, len })
    }

    /// MMC-6, "GET CONFIGURATION": the features from `starting` on, by the kind of request.
    fn configuration(&self, kind: u8, starting: u16) -> Vec<u8> {
        let profile = match self.tray.loaded() {
            Ok(medium) if medium.blocks() > CD_BLOCKS => PROFILE_DVD_ROM,
            Ok(_) => PROFILE_CD_ROM,
            Err(_) => 0,
        };
        let is_current = |other: u16| u8::from(profile == other);
        let [dvd, cd] = [PROFILE_DVD_ROM, PROFILE_CD_ROM].map(u16::to_be_bytes);
        // The code, the version with "persistent" and "current", and the data.
        let features: [(u16, u8, Vec<u8>); 6] = [
            (
                0x0000,
                0b11,
                vec![
                    dvd[0],
                    dvd[1],
                    is_current(PROFILE_DVD_ROM),
                    0,
                    cd[0],
                    cd[1],
                    is_current(PROFILE_CD_ROM),
                    0,
                ],
            ),
            // Core: Serial ATA.
            (0x0001, 0b1011, vec![0, 0, 0, 8, 1, 0, 0, 0]),
            // Morphing: events are polled.
            (0x0002, 0b0111, vec![0b10, 0, 0, 0]),
            // Removable medium: a tray, eject, lock.
            (0x0003, 0b11, vec![0b0010_1001, 0, 0, 0]),
            // Random readable: blocks of 2048 bytes.
            (0x0010, u8::from(profile != 0), vec![0, 0, 8, 0, 0, 1, 0, 0]),
            // CD read.
            (0x001e, is_current(PROFILE_CD_ROM), vec![0, 0, 0, 0]),
        ];
        let wanted = features.into_iter().filter(|(code, flags, _)| match kind {
            0 => *code >= starting,
            1 => *code >= starting && flags & 1 != 0,
            _ => *code == starting,
        });
        let features: Vec<u8> = wanted
            .flat_map(|(code, flags, data)| {
                let [high, low] = code.to_be_bytes();
                let len = u8::try_from(data.len()).unwrap_or(0);
                [vec![high, low, flags, len], data].concat()
            })
            .collect();
        let len = u32::try_from(features.len() + 4).unwrap_or(u32::MAX);
        [&len.to_be_bytes()[..], &[0, 0], &profile.to_be_bytes(), &features].concat()
    }

    /// MMC-6, "GET EVENT STATUS NOTIFICATION": of the requested classes, only the medium's exists.
    fn events(&self, classes: u8) -> Vec<u8> {
        const MEDIA: u8 = 4;
        const SUPPORTED: u8 = 1 << MEDIA;
        if classes & SUPPORTED == 0 {
            return vec![0, 2, 1 << 7, SUPPORTED];
        }
        let event = self.tray.take_event().map_or(0, |event: Event| event as u8);
        let has_medium = u8::from(self.tray.medium().is_some() && !self.tray.is_open());
        let status = has_medium << 1 | u8::from(self.tray.is_open());
        vec![0, 6, MEDIA, SUPPORTED, event, status, 0, 0]
    }
}

/// Answers with as much of `data` as the driver allows.
#[expect(clippy::unnecessary_wraps, reason = "it ends the arms of a match")]
fn give(mut data: Vec<u8>, allowed: usize) -> Result<Packet, Sense> {
    data.truncate(allowed);
    Ok(if data.is_empty() { Packet::Done } else { Packet::Give(data) })
}

/// The big-endian word at `at`.
fn word(packet: &[u8; 16], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|index| packet[at + index]))
}

/// MMC-6, "READ TOC/PMA/ATIP": one session with one track of data.
fn toc(medium: &Medium, msf: bool, format: u8, first_track: u8) -> Option<Vec<u8>> {
    const DATA: u8 = 0x14;
    let address = |block: u32| if msf { time(block) } else { block.to_be_bytes() };
    let track = |number: u8, block: u32| {
        let address = address(block);
        [&[0, DATA, number, 0][..], &address].concat()
    };
    let tracks = match format {
        0 if first_track <= 1 => [track(1, 0), track(LEAD_OUT, medium.blocks())].concat(),
        0 if first_track == LEAD_OUT => track(LEAD_OUT, medium.blocks()),
        // The last session's first track.
        1 => track(1, 0),
        2 => return Some(full_toc(medium)),
        _ => return None,
    };
    let len = u16::try_from(tracks.len() + 2).ok()?;
    Some([&len.to_be_bytes()[..], &[1, 1], &tracks].concat())
}

/// MMC-6, "READ TOC/PMA/ATIP": the same in the disc's own form, format 2.
fn full_toc(medium: &Medium) -> Vec<u8> {
    const DATA: u8 = 0x14;
    let entry = |point: u8, [_, minute, second, frame]: [u8; 4]| {
        [1, DATA, 0, point, 0, 0, 0, 0, minute, second, frame]
    };
    let entries = [
        entry(0xa0, [0, 1, 0, 0]),
        entry(0xa1, [0, 1, 0, 0]),
        entry(0xa2, time(medium.blocks())),
        entry(1, time(0)),
    ]
    .concat();
    let len = u16::try_from(entries.len() + 2).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], &[1, 1], &entries].concat()
}

/// A block's address in minutes, seconds and frames. Block 0 is at two seconds.
fn time(block: u32) -> [u8; 4] {
    let frames = block.saturating_add(150);
    let byte = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    [0, byte(frames / 75 / 60), byte(frames / 75 % 60), byte(frames % 75)]
}

/// MMC-6, "READ DISC INFORMATION": complete, one session, one track.
fn disc_information() -> Vec<u8> {
    let mut data = vec![0; 34];
    data[1] = 32;
    // The last session is complete, and so is the disc.
    data[2] = 0b1110;
    data[3..7].fill(1);
    data[7] = 1 << 5;
    // Addresses for more sessions: none, as nothing more can be written.
    data[16..24].fill(0xff);
    data
}

/// MMC-6, "READ TRACK INFORMATION": the one track.
fn track_information(blocks: u32) -> Vec<u8> {
    let mut data = vec![0; 36];
    data[1] = 34;
    (data[2], data[3]) = (1, 1);
    data[5] = 4;
    data[6] = 1;
    data[24..28].copy_from_slice(&blocks.to_be_bytes());
    data
}
