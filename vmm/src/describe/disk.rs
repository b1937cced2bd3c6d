//! A description of a disk, for `--dry-run`.

use std::{fmt, path::PathBuf};

use devices::{
    block::{BlockOptions, CacheMode, Engine},
    disk::{Disk, format::Format, image::OpenOptions, info, qcow2::Overlay},
    printable::ToPrintable,
};
use serde::Serialize;

use crate::{
    config::{DiskBus, DiskConfig},
    lossy,
    size::Size,
};

/// The description of a disk.
#[derive(Debug, Serialize)]
pub struct DiskDescription {
    /// The name in messages.
    name: String,
    /// The image or block device; none if it is in nvmm's memory.
    #[serde(serialize_with = "lossy::option")]
    path: Option<PathBuf>,
    /// The format, given or found.
    format: &'static str,
    /// The file for writes, or `temp`.
    #[serde(serialize_with = "lossy::option")]
    overlay: Option<PathBuf>,
    /// The backing files below it, from the top.
    #[serde(serialize_with = "lossy::list")]
    over: Vec<PathBuf>,
    size: u64,
    logical_block_size: u32,
    physical_block_size: u32,
    read_only: bool,
    bus: DiskBus,
    direct: bool,
    cache: CacheMode,
    discard: bool,
    legacy: bool,
    aio: Engine,
    queues: u16,
    queue_size: u16,
    /// The most requests a second.
    iops: Option<u64>,
    /// The most bytes a second.
    bw: Option<u64>,
    serial: String,
}

impl DiskDescription {
    pub(crate) fn new(config: &DiskConfig, format: Format, disk: &dyn Disk) -> Self {
        let image = OpenOptions { overlay: None, ..config.image.clone() };
        let chain = info::follow(&config.path, &image).map(|info| info.links);
        let over = chain.unwrap_or_default().into_iter().skip(1).map(|link| link.path);
        Self {
            path: Some(config.path.clone()),
            format: format.name(),
            overlay: config.image.overlay.as_ref().map(|overlay| match overlay {
                Overlay::Temp => "temp".into(),
                Overlay::File(path) => path.clone(),
            }),
            over: over.collect(),
            direct: config.image.disk.direct,
            ..Self::in_memory(config.name(), config.bus, &config.device, disk)
        }
    }

    /// Describes a disk that is in nvmm's memory.
    pub(crate) fn in_memory(name: String, bus: DiskBus, device: &BlockOptions, disk: &dyn Disk) -> Self {
        let BlockOptions { serial, queues, queue_size, cache, discard, engine, legacy, iops, bandwidth } =
            *device;
        let block = disk.block_size();
        Self {
            name,
            path: None,
            format: Format::Raw.name(),
            overlay: None,
            over: Vec::new(),
            size: disk.size(),
            logical_block_size: block.logical,
            physical_block_size: block.physical,
            read_only: disk.is_read_only(),
            bus,
            direct: false,
            cache,
            discard,
            legacy,
            aio: engine,
            queues,
            queue_size,
            iops: iops.map(Into::into),
            bw: bandwidth.map(Into::into),
            serial: serial.to_string(),
        }
    }
}

/// Writes two lines: the image, and the guest's device.
impl fmt::Display for DiskDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, path, format, overlay, over, size, read_only, direct, cache, discard, aio, .. } =
            self;
        let Self { logical_block_size, physical_block_size, queues, queue_size, iops, bw, .. } = self;
        let Self { serial, legacy, .. } = self;
        let path = path.as_ref().map(|path| path.printable().to_string());
        match path {
            Some(path) if path == *name => write!(f, "  {path}")?,
            Some(path) => write!(f, "  {} ({path})", name.printable())?,
            None => write!(f, "  {}", name.printable())?,
        }
        write!(f, ": {format}, {}", Size(*size))?;
        if *read_only {
            write!(f, ", read-only")?;
        }
        for path in over {
            write!(f, ", over {}", path.printable())?;
        }
        if let Some(overlay) = overlay {
            write!(f, ", written to {}", overlay.printable())?;
        }
        let plural = if *queues == 1 { "" } else { "s" };
        let bus = if self.bus == DiskBus::Sata { "bus=sata, " } else { "" };
        write!(f, "\n    {bus}{queues} queue{plural} of {queue_size}, aio={aio}, cache={cache}")?;
        let (discard, direct) = (on(*discard), on(*direct));
        write!(f, ", discard={discard}, direct={direct}")?;
        write!(f, ", blocks of {logical_block_size} (physical {physical_block_size})")?;
        if *legacy {
            write!(f, ", legacy=on")?;
        }
        if let Some(iops) = iops {
            write!(f, ", at most {iops} requests/s")?;
        }
        if let Some(bw) = bw {
            write!(f, ", at most {}/s", Size(*bw))?;
        }
        if !serial.is_empty() {
            write!(f, ", serial '{}'", serial.printable())?;
        }
        writeln!(f)
    }
}

fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
