//! The images of a batch on a device.

use std::sync::Arc;

use ::tch::{Device, Kind, Tensor};

use crate::data::{Batch, Drawn, Images};
use crate::graph::Shape;

/// Images as bytes on a device, where each batch is normalised and augmented.
pub(super) struct ImageStore {
    device: Device,
    /// Sets of images that batches were drawn from, with their bytes as `[images · height · width, channels]`.
    pub(super) stored: Vec<(Arc<Images>, Tensor)>,
}

impl ImageStore {
    pub(super) fn new(device: Device) -> Self {
        Self { device, stored: Vec::new() }
    }

    /// A batch's normalised values, `[batch, channels, height, width]` with the channels innermost in memory.
    ///
    /// # Panics
    /// If the device's memory is too small.
    pub(super) fn of(&mut self, batch: &Batch) -> Tensor {
        match &batch.drawn {
            Some(drawn) => self.viewed(drawn, batch.shape),
            None => {
                let [channels, height, width] = sides(batch.shape);
                let images = Tensor::from_slice(&batch.images).view([-1, channels, height, width]);
                images.to_device(self.device).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
            }
        }
    }

    /// The images that were drawn, seen as they were drawn: the same numbers as [`Drawn::values`].
    fn viewed(&mut self, drawn: &Drawn, shape: Shape) -> Tensor {
        let [channels, height, width] = sides(shape);
        let (device, batch) = (self.device, drawn.draws.len() as i64);
        let numbers: Vec<i64> = drawn
            .draws
            .iter()
            .flat_map(|(index, view)| {
                let (rows, columns) = view.hole.clone().unwrap_or_default();
                let hole = [rows.start, rows.end, columns.start, columns.end].map(|n| n as i64);
                let moved = [view.down as i64, view.right as i64];
                [i64::from(*index), i64::from(view.flip)].into_iter().chain(moved).chain(hole)
            })
            .collect();
        let numbers = Tensor::from_slice(&numbers).view([batch, 8, 1]).to_device(device).unbind(1);
        let [index, flip, down, right, top, bottom, left, end] = &numbers[..] else {
            unreachable!("eight numbers a view");
        };
        let [rows, columns] = [height, width].map(|side| Tensor::arange(side, (Kind::Int64, device)));
        // `[batch, height]` and `[batch, width]`: the places of the stored image, some of them beyond it.
        let source_rows = &rows + down;
        let source_columns = flip * (width - 1 - &columns * 2) + &columns + right;
        let between =
            |places: &Tensor, start: &Tensor, end: &Tensor| places.ge_tensor(start).logical_and(&places.lt_tensor(end));
        // Rows by columns: `[batch, height, width]`.
        let both = |rows: Tensor, columns: Tensor| rows.unsqueeze(2).logical_and(&columns.unsqueeze(1));
        let within = |places: &Tensor, side: i64| places.ge(0).logical_and(&places.lt(side));
        let hole = both(between(&rows, top, bottom), between(&columns, left, end));
        let is_seen =
            both(within(&source_rows, height), within(&source_columns, width)).logical_and(&hole.logical_not());
        let lines = (index * height + source_rows.clamp(0, height - 1)) * width;
        let pixels = lines.unsqueeze(2) + source_columns.clamp(0, width - 1).unsqueeze(1);
        let bytes = self.bytes(&drawn.images, shape).index_select(0, &pixels.flatten(0, -1));
        let [factor, offset] = [true, false].map(|is_factor| {
            let of = |one: &crate::data::Affine| if is_factor { one.factor } else { one.offset };
            Tensor::from_slice(&drawn.affine.iter().map(of).collect::<Vec<_>>()).to_device(device)
        });
        let values = bytes.view([batch, height, width, channels]).to_kind(Kind::Float) * factor + offset;
        values.where_scalarother(&is_seen.unsqueeze(3), 0.0).permute([0, 3, 1, 2])
    }

    fn bytes(&mut self, images: &Arc<Images>, shape: Shape) -> &Tensor {
        let known = self.stored.iter().position(|(stored, _)| Arc::ptr_eq(stored, images));
        let at = known.unwrap_or_else(|| {
            let [channels, height, width] = sides(shape);
            let bytes = Tensor::from_slice(images.bytes()).view([-1, channels, height * width]);
            let bytes = bytes.to_device(self.device).transpose(1, 2).contiguous().view([-1, channels]);
            self.stored.push((Arc::clone(images), bytes));
            self.stored.len() - 1
        });
        &self.stored[at].1
    }
}

fn sides(shape: Shape) -> [i64; 3] {
    [shape.channels, shape.height, shape.width].map(|side| side as i64)
}
