//! A data set and how its training part is divided.

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::stratify::{limited, shares};
use super::{Images, Split};
use crate::Error;
use crate::graph::Shape;

/// A labelled set of images with its training part and, where it has them, its validation and test parts.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name of the data set, such as `digits`; of a folder, its own.
    pub name: String,
    /// Names of the classes; a label is an index into them.
    pub class_names: Vec<String>,
    /// Images to train on, and to hold validation images out of.
    pub train: Split,
    /// Validation images, if the data set has a part of its own for them.
    pub validation: Option<Split>,
    /// Test images, if there are any: for the final evaluation only.
    pub test: Option<Split>,
    /// The folder of the validation images, if the data set has a part of its own for them in a folder.
    pub validation_folder: Option<String>,
    /// Parts of the data set that are not used, each with the reason.
    pub notes: Vec<String>,
    /// Whether images of other sizes were brought to the shape.
    pub(super) resized: bool,
    /// Whether the images were decoded from image files.
    pub(super) from_files: bool,
}

/// The two parts of a training set that a search works with.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Images to train on.
    pub train: Split,
    /// Images to validate with.
    pub validation: Split,
}

impl Dataset {
    /// A data set from its parts.
    ///
    /// # Errors
    /// If there are fewer than 2 classes, a label has no class, a class has no training image, or the parts differ in
    /// shape or scale.
    pub fn new(
        name: &str,
        class_names: Vec<String>,
        train: Images,
        validation: Option<Images>,
        test: Option<Images>,
    ) -> Result<Self, Error> {
        let misfit = |reason: String| Error::new(format_args!("the data set {name}"), reason);
        let classes = class_names.len();
        if classes < 2 {
            return Err(misfit(format!("it has {classes} classes, but at least 2 are needed")));
        }
        let parts = [Some(&train), validation.as_ref(), test.as_ref()];
        for part in parts.into_iter().flatten() {
            if let Some(label) = part.labels.iter().find(|label| usize::from(**label) >= classes) {
                return Err(misfit(format!("there is an image with the label {label}, but only {classes} classes")));
            }
            if (part.shape, part.scale) != (train.shape, train.scale) {
                return Err(misfit(format!(
                    "images have the shape {} and values up to {}, those to train on {} and {}",
                    part.shape, part.scale, train.shape, train.scale
                )));
            }
        }
        let train = Split::all(Arc::new(train));
        if let Some(class) = train.class_counts(classes).iter().position(|count| *count == 0) {
            return Err(misfit(format!("the class {} has no training image", class_names[class])));
        }
        let [validation, test] = [validation, test].map(|part| part.map(|images| Split::all(Arc::new(images))));
        let (name, validation_folder, notes) = (name.to_owned(), None, Vec::new());
        let (resized, from_files) = (false, false);
        Ok(Self { name, class_names, train, validation, test, validation_folder, notes, resized, from_files })
    }

    /// Shape of one image.
    pub fn shape(&self) -> Shape {
        self.train.shape()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Keeps only `images` of the training images: of each class its share, spread evenly over the class's images.
    /// A limit above their number changes nothing.
    ///
    /// # Errors
    /// If there are more classes than images to keep.
    pub(crate) fn limit_train(&mut self, images: usize) -> Result<(), Error> {
        let kept = limited(self.train.labels(), self.classes(), images)?;
        let kept = kept.into_iter().map(|position| self.train.indices[position]).collect();
        self.train = self.train.with_indices(kept);
        Ok(())
    }

    /// Training and validation images. A data set with a validation part of its own gives that one. Otherwise `rng`
    /// draws the given fraction of the training images, of each class its share and at least one image. The images are
    /// shared with the data set, not copied.
    ///
    /// # Errors
    /// Where images have to be held out: if the fraction is not between 0 and 1, or a class has a single image.
    pub fn split(&self, validation_fraction: f64, rng: &mut ChaCha8Rng) -> Result<Splits, Error> {
        if let Some(validation) = &self.validation {
            return Ok(Splits { train: self.train.clone(), validation: validation.clone() });
        }
        check_fraction(validation_fraction)?;
        let mut by_class = self.train.by_class(self.classes());
        if let Some(class) = by_class.iter().position(|class| class.len() < 2) {
            let class = &self.class_names[class];
            let reason = format!("the class {class} has a single training image, so none can be held out");
            return Err(Error::setting("validation", reason));
        }
        let counts: Vec<_> = by_class.iter().map(Vec::len).collect();
        let total = (self.train.len() as f64 * validation_fraction).round() as usize;
        let shares = shares(&counts, total, |count| 1..=count - 1);
        let (mut train, mut validation) = (Vec::with_capacity(self.train.len()), Vec::with_capacity(total));
        for (class, share) in by_class.iter_mut().zip(shares) {
            class.shuffle(rng);
            validation.extend_from_slice(&class[..share]);
            train.extend_from_slice(&class[share..]);
        }
        train.sort_unstable();
        validation.sort_unstable();
        Ok(Splits { train: self.train.with_indices(train), validation: self.train.with_indices(validation) })
    }
}

/// Rejects a validation fraction that leaves one side without images.
pub(super) fn check_fraction(fraction: f64) -> Result<(), Error> {
    if fraction > 0.0 && fraction < 1.0 {
        return Ok(());
    }
    let reason = format!("{fraction} is not a fraction of the training images: it must lie between 0 and 1");
    Err(Error::setting("validation", reason))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("class {class}")).collect()
    }

    fn images(labels: &[u16]) -> Images {
        Images::new(Shape::new(1, 1, 1), 255, vec![7; labels.len()], labels.to_vec()).unwrap()
    }

    /// 60, 30 and 10 images of three classes.
    fn uneven() -> Dataset {
        let labels: Vec<u16> = (0..100).map(|at| [0, 1, 0, 0, 1, 0, 1, 0, 0, 2][at % 10]).collect();
        Dataset::new("uneven", names(3), images(&labels), None, None).unwrap()
    }

    #[test]
    fn a_split_is_stratified_disjoint_and_complete() {
        let dataset = uneven();
        let splits = dataset.split(0.2, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert_eq!(splits.validation.class_counts(3), [12, 6, 2]);
        assert_eq!(splits.train.class_counts(3), [48, 24, 8]);
        let all: BTreeSet<_> = splits.train.indices.iter().chain(&splits.validation.indices).collect();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_split_depends_on_the_seed_alone() {
        let held = |seed| {
            let splits = uneven().split(0.3, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            splits.validation.indices.to_vec()
        };
        assert_eq!(held(5), held(5));
        assert_ne!(held(5), held(6));
    }

    #[test]
    fn a_split_that_leaves_a_side_empty_is_an_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for fraction in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            let error = uneven().split(fraction, &mut rng).unwrap_err().to_string();
            assert!(error.contains("between 0 and 1"), "{error}");
        }
        let single = Dataset::new("single", names(2), images(&[0, 1, 1]), None, None).unwrap();
        assert!(single.split(0.5, &mut rng).unwrap_err().to_string().contains("class 0 has a single"));
        let pairs = Dataset::new("pairs", names(2), images(&[0, 0, 1, 1]), None, None).unwrap();
        assert_eq!(pairs.split(0.01, &mut rng).unwrap().validation.class_counts(2), [1, 1]);
        assert_eq!(pairs.split(0.99, &mut rng).unwrap().train.class_counts(2), [1, 1]);
    }

    #[test]
    fn the_validation_part_of_a_data_set_is_used() {
        let own = Dataset::new("own", names(2), images(&[0, 1]), Some(images(&[1, 0, 0])), None).unwrap();
        let splits = own.split(0.5, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert_eq!((splits.train.len(), splits.validation.len()), (2, 3));
    }

    #[test]
    fn a_limit_keeps_every_class_in_proportion() {
        let mut dataset = uneven();
        dataset.limit_train(20).unwrap();
        assert_eq!(dataset.train.class_counts(3), [12, 6, 2]);
        assert!(dataset.train.indices.last().is_some_and(|last| *last >= 50), "it must not be the first images only");
        dataset.limit_train(1000).unwrap();
        assert_eq!(dataset.train.len(), 20);
        assert!(dataset.limit_train(2).unwrap_err().to_string().contains("3 classes"));
    }

    #[test]
    fn parts_that_do_not_fit_together_are_errors() {
        let error =
            |classes, train, test| Dataset::new("parts", names(classes), train, None, test).unwrap_err().to_string();
        assert!(error(1, images(&[0]), None).contains("1 classes"));
        assert!(error(2, images(&[0, 1]), Some(images(&[2]))).contains("label 2"));
        assert!(error(3, images(&[0, 2]), None).contains("class 1 has no training image"));
        let other = Images::new(Shape::new(3, 1, 1), 255, vec![0; 3], vec![0]).unwrap();
        assert!(error(2, images(&[0, 1]), Some(other)).contains("[3, 1, 1]"));
    }
}
