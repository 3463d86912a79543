//! Batches of normalised images: the hot path of the data room.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::augment::View;
use super::normalise::Affine;
use super::{Augmentation, Images, Normalisation, Split};
use crate::graph::Shape;

/// Some images, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised values, `[batch, channels, height, width]`; none where the engine makes them from `drawn`.
    pub images: Vec<f32>,
    /// Class of each image, `[batch]`.
    pub labels: Vec<i64>,
    /// Shape of one image.
    pub shape: Shape,
    /// What the values are made of, where the engine makes them.
    pub(crate) drawn: Option<Drawn>,
}

/// The images of a batch as they were drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    /// All images among which these are.
    pub(crate) images: Arc<Images>,
    /// Normalisation of each channel.
    pub(crate) affine: Arc<[Affine]>,
    /// The image's index and how it is seen, `[batch]`.
    pub(crate) draws: Vec<(u32, View)>,
}

impl Drawn {
    /// Normalised values, `[batch, channels, height, width]`.
    pub(crate) fn values(&self) -> Vec<f32> {
        let shape = self.images.shape;
        let mut values = vec![0.0; self.draws.len() * shape.elements()];
        for ((index, view), output) in self.draws.iter().zip(values.chunks_exact_mut(shape.elements())) {
            view.write(self.images.image(*index as usize), shape, &self.affine, output);
        }
        values
    }
}

impl Batch {
    /// Number of images; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch holds at least one image")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }
}

/// An epoch: the images of a [`Split`] once each, in batches of one size but for the last, which may be smaller.
#[derive(Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    batch_size: usize,
    affine: Arc<[Affine]>,
    /// Order of the epoch; `None` for the order of the split.
    shuffled: Option<Vec<u32>>,
    augment: Option<(Augmentation, ChaCha8Rng)>,
    /// Number of images already given.
    given: usize,
    /// Whether batches hold values, or what they are made of.
    with_values: bool,
}

/// Images of an epoch of training on so many images. One that would be alone in the last batch is left out, another one
/// in each epoch: in a map of one place its variance is 0, which would spoil the running statistics of a batch norm.
pub(crate) fn epoch_images(images: usize, batch_size: usize) -> usize {
    let is_one_alone = images > batch_size && images % batch_size == 1;
    images - usize::from(is_one_alone)
}

impl Split {
    /// The images in their order, unchanged, for an evaluation. The last batch may be smaller.
    ///
    /// # Panics
    /// If the batch size is 0, or the normalisation has another number of channels.
    pub fn batches(&self, batch_size: usize, normalisation: &Normalisation) -> Batches<'_> {
        assert!(batch_size > 0, "a batch holds at least one image");
        let affine: Arc<[Affine]> = normalisation.affine(self.images.scale).into();
        assert_eq!(affine.len(), self.shape().channels, "the normalisation has another number of channels");
        Batches { split: self, batch_size, affine, shuffled: None, augment: None, given: 0, with_values: true }
    }

    /// An epoch of training: the images shuffled and augmented, each once. The last batch may be smaller, but holds two
    /// images at least: see [`epoch_images`].
    ///
    /// The epoch's own generator is drawn from `rng` here, so `rng` advances by the same amount for every epoch,
    /// however many of its batches are read.
    ///
    /// # Panics
    /// As [`batches`](Self::batches).
    pub(crate) fn shuffled_batches(
        &self,
        batch_size: usize,
        normalisation: &Normalisation,
        augmentation: Augmentation,
        rng: &mut ChaCha8Rng,
    ) -> Batches<'_> {
        let mut rng = ChaCha8Rng::from_rng(rng);
        let mut order = self.indices.to_vec();
        order.shuffle(&mut rng);
        order.truncate(epoch_images(order.len(), batch_size));
        Batches { shuffled: Some(order), augment: Some((augmentation, rng)), ..self.batches(batch_size, normalisation) }
    }
}

impl Batches<'_> {
    /// The same batches, with values or with what they are made of.
    pub(crate) fn with_values(self, with_values: bool) -> Self {
        Self { with_values, ..self }
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let order = self.shuffled.as_deref().unwrap_or(&self.split.indices);
        let chunk = &order[self.given..order.len().min(self.given + self.batch_size)];
        if chunk.is_empty() {
            return None;
        }
        let shape = self.split.shape();
        let all = &self.split.images;
        let mut view = || match &mut self.augment {
            Some((augmentation, rng)) => augmentation.draw(shape, rng),
            None => View::default(),
        };
        let draws = chunk.iter().map(|index| (*index, view())).collect();
        let drawn = Drawn { images: Arc::clone(all), affine: Arc::clone(&self.affine), draws };
        let labels = chunk.iter().map(|index| i64::from(all.labels[*index as usize])).collect();
        self.given += chunk.len();
        Some(match self.with_values {
            true => Batch { images: drawn.values(), labels, shape, drawn: None },
            false => Batch { images: Vec::new(), labels, shape, drawn: Some(drawn) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, digits};

    fn digits() -> (Dataset, Normalisation) {
        let dataset = digits::load().unwrap();
        let normalisation = Normalisation::of(&dataset.train);
        (dataset, normalisation)
    }

    const ALL: Augmentation = Augmentation { flip: true, crop_padding: 2, cutout: 3 };

    #[test]
    fn values_of_all_batches_have_mean_0_and_deviation_1() {
        let (dataset, normalisation) = digits();
        let values: Vec<f32> = dataset.train.batches(100, &normalisation).flat_map(|batch| batch.images).collect();
        assert_eq!(values.len(), 1797 * 64);
        let count = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-5, "{mean}");
        assert!((variance - 1.0).abs() < 1e-5, "{variance}");
    }

    #[test]
    fn all_batches_but_the_last_have_the_same_size() {
        let (dataset, normalisation) = digits();
        let sizes: Vec<_> = dataset.train.batches(500, &normalisation).map(|batch| batch.len()).collect();
        assert_eq!(sizes, [500, 500, 500, 297]);
        assert_eq!(dataset.train.batches(5000, &normalisation).count(), 1);
    }

    #[test]
    fn a_shuffled_epoch_holds_every_image_once_with_its_label() {
        let (dataset, normalisation) = digits();
        let rows = |batches: Batches| {
            let mut rows: Vec<(Vec<u32>, i64)> = batches
                .flat_map(|batch| {
                    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                    let rows: Vec<_> = batch.images.chunks_exact(64).map(bits).zip(batch.labels).collect();
                    rows
                })
                .collect();
            let given = rows.clone();
            rows.sort_unstable();
            (given, rows)
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let in_order = rows(dataset.train.batches(64, &normalisation));
        let shuffled = rows(dataset.train.shuffled_batches(64, &normalisation, Augmentation::default(), &mut rng));
        let again = rows(dataset.train.shuffled_batches(64, &normalisation, Augmentation::default(), &mut rng));
        assert_eq!(in_order.1, shuffled.1);
        assert_eq!(in_order.1, again.1);
        assert_ne!(in_order.0, shuffled.0);
        assert_ne!(again.0, shuffled.0, "each epoch has its own order");
    }

    #[test]
    fn no_image_is_alone_in_a_batch_of_training() {
        let (dataset, normalisation) = digits();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut sizes = |images: usize, batch_size: usize| -> Vec<usize> {
            let split = dataset.train.first(images);
            let batches = split.shuffled_batches(batch_size, &normalisation, Augmentation::default(), &mut rng);
            batches.map(|batch| batch.len()).collect()
        };
        assert_eq!(sizes(129, 64), [64, 64]);
        assert_eq!(sizes(130, 64), [64, 64, 2]);
        assert_eq!(sizes(5, 2), [2, 2]);
        assert_eq!(sizes(1, 64), [1], "nothing else is there to train on");
        let evaluated = dataset.train.first(129);
        assert_eq!(evaluated.batches(64, &normalisation).last().map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn an_epoch_depends_on_the_seed_and_not_on_the_number_of_batches_read() {
        let (dataset, normalisation) = digits();
        let second_epoch = |seed: u64, take: usize| -> Vec<Batch> {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let taken = dataset.train.shuffled_batches(64, &normalisation, ALL, &mut rng).take(take).count();
            assert_eq!(taken, take);
            dataset.train.shuffled_batches(64, &normalisation, ALL, &mut rng).collect()
        };
        assert_eq!(second_epoch(1, 0), second_epoch(1, 7));
        assert_ne!(second_epoch(1, 0), second_epoch(2, 0));
    }

    #[test]
    fn training_images_are_augmented() {
        let (dataset, normalisation) = digits();
        let zeros = |augmentation| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let batches = dataset.train.shuffled_batches(64, &normalisation, augmentation, &mut rng);
            batches.flat_map(|batch| batch.images).filter(|value| *value == 0.0).count()
        };
        assert_eq!(zeros(Augmentation::default()), 0, "no digit has the mean as a value");
        // A 3x3 square on 8x8: 7 of 8 centres give all 3 rows less one at each border, 22/8 rows and columns expected.
        let cut = zeros(Augmentation { cutout: 3, ..Augmentation::default() }) as f64 / 1797.0;
        assert!((cut - (22.0_f64 / 8.0).powi(2)).abs() < 0.1, "{cut}");
    }
}
