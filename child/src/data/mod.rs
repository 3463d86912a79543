//! Labelled images: loading, holding out, normalising, augmenting and batching.
//!
//! The way of an image: a [`DataConfig`] loads a [`Dataset`], which is held as bytes; [`Dataset::split`] holds out the
//! validation part; [`Normalisation::of`] the training part gives the statistics; [`Split::batches`] gives the images
//! of an evaluation, and `Split::shuffled_batches` those of an epoch of training.
//!
//! ```
//! use child::data::{DataConfig, Normalisation};
//! use rand::SeedableRng;
//! use rand_chacha::ChaCha8Rng;
//!
//! let mut rng = ChaCha8Rng::seed_from_u64(7);
//! let config = DataConfig::default();
//! let dataset = config.load()?;
//! let splits = dataset.split(config.validation_fraction(), &mut rng)?;
//! let normalisation = Normalisation::of(&splits.train);
//! for batch in splits.train.batches(64, &normalisation) {
//!     assert_eq!(batch.images.len(), batch.len() * dataset.shape().elements());
//! }
//! # Ok::<(), child::Error>(())
//! ```

mod augment;
mod batch;
pub mod cifar10;
mod config;
mod dataset;
mod decode;
mod deployment;
mod digits;
mod download;
mod folder;
mod images;
mod normalise;
mod stratify;

pub use augment::Augmentation;
#[cfg(feature = "tch")]
pub(crate) use batch::Drawn;
pub(crate) use batch::epoch_images;
pub use batch::{Batch, Batches};
pub use config::{DataConfig, Source};
pub use dataset::{Dataset, Splits};
pub use deployment::Deployment;
pub use images::{Images, Split};
#[cfg(feature = "tch")]
pub(crate) use normalise::Affine;
pub use normalise::Normalisation;
