//! Bringing values to mean 0 and standard deviation 1.

use serde::{Deserialize, Serialize};

use super::Split;

/// Mean and standard deviation of each channel, of values scaled to 0..1.
///
/// Taken from the training images alone: the others must not leak into the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Population standard deviation of each channel; 1 for a channel that never varies, which thereby becomes 0.
    pub std: Vec<f32>,
}

/// The normalisation of one channel: stored value × `factor` + `offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) factor: f32,
    pub(crate) offset: f32,
}

impl Normalisation {
    /// Statistics of a selection of images; of an empty one they change nothing.
    pub fn of(split: &Split) -> Self {
        let shape = split.shape();
        let pixels = shape.height * shape.width;
        // Sums of integers are exact, so the result does not depend on their order.
        let mut sums = vec![(0_u64, 0_u64); shape.channels];
        for index in &split.indices {
            let image = split.images.image(*index as usize);
            for (plane, (sum, squares)) in image.chunks_exact(pixels).zip(&mut sums) {
                *sum += plane.iter().map(|value| u64::from(*value)).sum::<u64>();
                *squares += plane.iter().map(|value| u64::from(*value).pow(2)).sum::<u64>();
            }
        }
        let count = (split.len() * pixels).max(1) as u128;
        let scale = f64::from(split.images.scale);
        let (mean, std) = sums
            .into_iter()
            .map(|(sum, squares)| {
                let variance = (count * u128::from(squares) - u128::from(sum).pow(2)) as f64 / (count * count) as f64;
                let std = if variance > 0.0 { variance.sqrt() / scale } else { 1.0 };
                ((u128::from(sum) as f64 / count as f64 / scale) as f32, std as f32)
            })
            .unzip();
        Self { mean, std }
    }

    /// The same for stored values, whose full intensity is `scale`.
    pub(crate) fn affine(&self, scale: u8) -> Vec<Affine> {
        (self.mean.iter().zip(&self.std))
            .map(|(mean, std)| Affine { factor: 1.0 / (f32::from(scale) * std), offset: -mean / std })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Images;
    use crate::graph::Shape;

    #[test]
    fn statistics_cover_the_selected_images_only() {
        let data = vec![0, 0, 5, 5, 10, 10, 5, 5, 9, 9, 9, 9];
        let images = Images::new(Shape::new(2, 1, 2), 10, data, vec![0, 1, 0]).unwrap();
        let split = Split::all(Arc::new(images)).with_indices(vec![0, 1]);
        let normalisation = Normalisation::of(&split);
        assert_eq!(normalisation.mean, [0.5, 0.5]);
        assert_eq!(normalisation.std, [0.5, 1.0], "the second channel never varies");
        let [first, second] = normalisation.affine(10)[..] else { panic!("two channels") };
        assert_eq!((10.0 * first.factor + first.offset, first.offset), (1.0, -1.0));
        assert_eq!(5.0 * second.factor + second.offset, 0.0);
    }
}
