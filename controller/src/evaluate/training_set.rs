//! The training and validation images of a search.

use child::Error;
use child::data::{DataConfig, Normalisation, Splits};
use child::graph::Shape;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub struct TrainingSet {
    pub splits: Splits,
    /// Normalisation by the training images.
    pub normalisation: Normalisation,
    pub shape: Shape,
    pub classes: usize,
}

impl TrainingSet {
    /// Loads the data set and holds out its validation images, which depend on the seed.
    pub fn load(config: &DataConfig, seed: u64) -> Result<Self, Error> {
        let dataset = config.load()?;
        let splits = dataset.split(config.validation_fraction(), &mut ChaCha8Rng::seed_from_u64(seed))?;
        let normalisation = Normalisation::of(&splits.train);
        Ok(Self { normalisation, shape: dataset.shape(), classes: dataset.classes(), splits })
    }
}
