//! The images of a search.

use child::Error;
use child::data::{DataConfig, Deployment, Normalisation, Split, Splits};
use child::graph::Shape;
use child::onnx::Accuracy;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::memory::free_memory;
use crate::fingerprint::in_hexadecimal;

#[derive(Debug)]
pub struct TrainingSet {
    pub splits: Splits,
    /// Images that neither train nor choose a network.
    pub test: Option<Split>,
    /// Normalisation by the training images.
    pub normalisation: Normalisation,
    /// What the files of trained networks say of the data set.
    pub deployment: Deployment,
    pub shape: Shape,
    pub classes: usize,
    /// Parts that are not used, with the reasons.
    pub notes: Vec<String>,
    /// The folder of the validation images; `None` if they are held out of the training images.
    validation_folder: Option<String>,
}

impl TrainingSet {
    /// Loads the data set and holds out its validation images, which depend on the seed. `progress` receives the number
    /// of image files read so far, and of all.
    pub fn load(config: &DataConfig, seed: u64, progress: &mut dyn FnMut(usize, usize)) -> Result<Self, Error> {
        let dataset = config.load_with(free_memory(), progress)?;
        let splits = dataset.split(config.validation_fraction(), &mut ChaCha8Rng::seed_from_u64(seed))?;
        let normalisation = Normalisation::of(&splits.train);
        Ok(Self {
            deployment: Deployment::of(&dataset, normalisation.clone()),
            normalisation,
            shape: dataset.shape(),
            classes: dataset.classes(),
            splits,
            test: dataset.test,
            notes: dataset.notes,
            validation_folder: dataset.validation_folder,
        })
    }

    /// The same for equal images in the same parts, with equal labels and class names.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for name in &self.deployment.class_names {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        for split in [&self.splits.train, &self.splits.validation] {
            hash.update((split.len() as u64).to_le_bytes());
            for (image, label) in split.pixels() {
                hash.update(label.to_le_bytes());
                hash.update(image);
            }
        }
        in_hexadecimal(&hash.finalize())
    }

    /// The parts with their numbers of images and their origins, such as `1347 training images, 450 validation images
    /// held out of them, no test images`.
    pub fn in_words(&self) -> String {
        let test = self.test.as_ref().map_or_else(|| "no test images".to_owned(), |_| self.test_images());
        format!("{} training images, {}, {test}", self.splits.train.len(), self.validation_images())
    }

    /// An accuracy on the validation images, for the metadata of a model.
    pub fn validated(&self, share: f64) -> Accuracy {
        Accuracy { key: "accuracy", share, images: self.validation_images() }
    }

    /// An accuracy on the test images, for the metadata of a model.
    pub fn tested(&self, share: f64) -> Accuracy {
        Accuracy { key: "test_accuracy", share, images: self.test_images() }
    }

    fn validation_images(&self) -> String {
        let origin = match &self.validation_folder {
            Some(folder) => format!("of {folder}/"),
            None => "held out of the training images".to_owned(),
        };
        format!("{} validation images {origin}", self.splits.validation.len())
    }

    fn test_images(&self) -> String {
        format!("{} test images", self.test.as_ref().map_or(0, Split::len))
    }

    /// Why an accuracy is useless, if it is: the network may answer one class always, whatever the image.
    pub fn useless(&self, accuracy: f64) -> Option<String> {
        let largest = self.splits.validation.largest_share();
        (accuracy <= largest).then(|| format!("{USELESS}, which gives {:.2} %", 100.0 * largest))
    }
}

/// Beginning of the message of a network that knows nothing.
pub(crate) const USELESS: &str = "no more accurate than answering the most frequent class always";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_named_with_their_origin() {
        let config: DataConfig = toml::from_str("name = 'digits'\nlimit = 400").unwrap();
        let data = TrainingSet::load(&config, 1, &mut |_, _| ()).unwrap();
        let words = data.in_words();
        assert_eq!(words, "300 training images, 100 validation images held out of the training images, no test images");
        assert_eq!(data.validated(0.5).images, "100 validation images held out of the training images");
        let largest = data.splits.validation.largest_share();
        assert!((0.1..0.2).contains(&largest), "{largest}");
        assert!(data.useless(largest).is_some_and(|reason| reason.starts_with(USELESS)));
        assert_eq!(data.useless(largest + 0.01), None);
    }
}
