//! How one image's feature map lies in memory.

use crate::graph::Shape;

/// Rows, columns, channels: the channels of a place lie side by side, padded with zeros to whole vectors, and the map
/// has a border of zeros, so that a convolution need not know where the image ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Map {
    pub(super) channels: usize,
    /// Numbers from one place to the next: the channels with their padding.
    pub(super) step: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Places on each side.
    pub(super) border: usize,
}

impl Map {
    pub(super) fn new(shape: Shape, border: usize, lanes: usize) -> Self {
        let Shape { channels, height, width } = shape;
        Self { channels, step: channels.next_multiple_of(lanes), height, width, border }
    }

    /// Numbers from one row to the next.
    pub(super) fn row(&self) -> usize {
        (self.width + 2 * self.border) * self.step
    }

    /// Index of the first number inside the border.
    pub(super) fn start(&self) -> usize {
        self.border * (self.row() + self.step)
    }

    /// Numbers in all.
    pub(super) fn len(&self) -> usize {
        (self.height + 2 * self.border) * self.row()
    }

    /// Places inside the border.
    pub(super) fn places(&self) -> usize {
        self.height * self.width
    }

    /// The numbers of a map's first place, which is the only one of a mean or a gate, without the border.
    pub(super) fn place<'a>(&self, values: &'a [f32]) -> &'a [f32] {
        &values[self.start()..][..self.step]
    }

    /// The same, to write to.
    pub(super) fn place_mut<'a>(&self, values: &'a mut [f32]) -> &'a mut [f32] {
        &mut values[self.start()..][..self.step]
    }

    /// The rows of a map without its border.
    pub(super) fn rows<'a>(&self, values: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let inside = self.width * self.step;
        values[self.start()..].chunks(self.row()).take(self.height).map(move |row| &row[..inside])
    }

    /// The rows of a map without its border.
    pub(super) fn rows_mut<'a>(&self, values: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let inside = self.width * self.step;
        let start = self.start();
        values[start..].chunks_mut(self.row()).take(self.height).map(move |row| &mut row[..inside])
    }
}
