/// Bytes of video memory.
pub(super) const MEMORY: u64 = 16 << 20;

/// A screen's size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The width.
    pub width: u16,
    /// The height.
    pub height: u16,
}

impl Resolution {
    /// Returns whether a screen can have this size: a width of 640 to 4088 in steps of 8, a height of 480 to 4088, and no more pixels than
    /// fit into video memory.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        let (width, height) = (self.width as u64, self.height as u64);
        width.is_multiple_of(8)
            && width >= 640
            && width <= 4088
            && height >= 480
            && height <= 4088
            && width * height * 4 <= MEMORY
    }
}
