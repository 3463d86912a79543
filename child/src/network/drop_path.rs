//! Drop-path: whole paths left out at random while training.

use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Leaves a path out for an image with a given probability, and scales the rest so that its expectation stays
/// the same (Larsson et al. 2016, "FractalNet", §3; as used for cells by Zoph et al. 2018, §3.1).
#[derive(Debug)]
pub struct DropPath {
    /// In `[0, 1)`.
    pub(crate) probability: f64,
    pub(crate) rng: ChaCha8Rng,
}

impl DropPath {
    /// The path's output with some images' maps set to zero: `[batch, channels, height, width]` both ways.
    pub(super) fn apply(&mut self, path: Tensor<4>) -> Tensor<4> {
        if self.probability == 0.0 {
            return path;
        }
        let batch = path.dims()[0];
        let scale = (1.0 / (1.0 - self.probability)) as f32;
        let mask: Vec<f32> =
            (0..batch).map(|_| if self.rng.random_bool(self.probability) { 0.0 } else { scale }).collect();
        let mask = Tensor::<4>::from_data(TensorData::new(mask, [batch, 1, 1, 1]), &path.device());
        path * mask
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use rand::SeedableRng;

    #[test]
    fn drop_path_keeps_the_expectation_and_drops_whole_images() {
        let mut drop_path = DropPath { probability: 0.3, rng: ChaCha8Rng::seed_from_u64(1) };
        let out = drop_path.apply(Tensor::ones([4000, 2, 1, 1], &Device::flex()));
        let values: Vec<f32> = out.into_data().try_to_vec().unwrap();
        for image in values.chunks(2) {
            assert_eq!(image[0], image[1]);
            assert!(image[0] == 0.0 || (image[0] - 1.0 / 0.7).abs() < 1e-6);
        }
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
    }
}
