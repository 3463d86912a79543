//! How a child is trained.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::backend::{Backend, DeviceName, Processor};
use crate::data::{Augmentation, epoch_images};

/// Settings of a training run; every one has a default, which suits a quick estimate of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// The library that computes it.
    pub backend: Backend,
    /// The devices that compute it: each training takes the one with the fewest trainings [default: the backend's first
    /// GPU, or the CPU].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceName>,
    /// Numbers that the steps of a training are computed with.
    #[serde(skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
    pub batch_size: usize,
    /// Learning rate at the start; it falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Momentum, after Nesterov.
    pub momentum: f64,
    /// L2 penalty on all weights.
    pub weight_decay: f64,
    /// Share of each label that is spread over all classes.
    pub label_smoothing: f64,
    /// Probability with which a path is left out, reached linearly at the last epoch. For final training.
    pub drop_path: f64,
    /// Epochs between two saved states of a training, by which one that was broken off continues; 0 saves none.
    #[serde(skip_serializing_if = "is_every_epoch")]
    pub checkpoint_every: usize,
    /// Random changes of training images.
    pub augmentation: Augmentation,
}

/// Whether it is left out of a file, as [`Precision::is_default`].
fn is_every_epoch(checkpoint_every: &usize) -> bool {
    *checkpoint_every == 1
}

/// Numbers that the steps of a training are computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Float32,
    /// Maps and kernels in bfloat16; weights, batch norms, the loss and evaluations in 32 bits.
    Bfloat16,
}

impl Precision {
    /// Whether it is left out of a file, so that the files of earlier versions stay as they are.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            devices: Vec::new(),
            precision: Precision::default(),
            epochs: 12,
            batch_size: 64,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.0,
            drop_path: 0.0,
            checkpoint_every: 1,
            augmentation: Augmentation::default(),
        }
    }
}

impl TrainingConfig {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The first one outside.
    pub fn check(&self) -> Result<(), Error> {
        const SHARE: &str = "at least 0 and below 1";
        let is_share = |value: f64| (0.0..1.0).contains(&value);
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        let rules = [
            ("epochs", self.epochs as f64, self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size as f64, self.batch_size >= 2, "at least 2, for batch norm"),
            ("learning_rate", self.learning_rate, is_positive(self.learning_rate), "above 0"),
            ("momentum", self.momentum, is_share(self.momentum), SHARE),
            ("weight_decay", self.weight_decay, (0.0..f64::INFINITY).contains(&self.weight_decay), "at least 0"),
            ("label_smoothing", self.label_smoothing, is_share(self.label_smoothing), SHARE),
            ("drop_path", self.drop_path, is_share(self.drop_path), SHARE),
        ];
        for (key, value, is_right, range) in rules {
            if !is_right {
                let text = format!("training.{key} = {value} is out of range: it must be {range}");
                return Err(Error(text));
            }
        }
        self.check_devices()?;
        self.check_precision(self.devices.contains(&DeviceName::Cpu))
    }

    /// Steps of an epoch on so many training images.
    pub fn steps_per_epoch(&self, images: usize) -> usize {
        epoch_images(images, self.batch_size).div_ceil(self.batch_size)
    }

    /// The settings that change a result; the others have their defaults.
    #[must_use]
    pub fn recipe(&self) -> Self {
        let Self { backend, devices, checkpoint_every, .. } = Self::default();
        Self { backend, devices, checkpoint_every, ..self.clone() }
    }

    fn check_devices(&self) -> Result<(), Error> {
        for (index, device) in self.devices.iter().enumerate() {
            self.backend.check_device(Some(*device))?;
            if self.devices[..index].contains(device) {
                return Err(Error(format!("training.devices names \"{device}\" twice: name each device once")));
            }
        }
        if self.devices.len() > 1 && self.devices.contains(&DeviceName::Cpu) {
            let text = "training.devices names GPUs and the CPU, which round differently: name either";
            return Err(Error(text.to_owned()));
        }
        Ok(())
    }

    fn check_precision(&self, is_cpu: bool) -> Result<(), Error> {
        if self.precision == Precision::Float32 || self.backend == Backend::Tch && !is_cpu {
            return Ok(());
        }
        let reason = match self.backend {
            Backend::Tch => "it is for GPUs, and this is the CPU".to_owned(),
            backend => format!("the backend `{backend}` computes in float32 alone"),
        };
        let remedy = "take \"float32\", or the backend `tch` on a GPU";
        Err(Error(format!("training.precision = \"bfloat16\": {reason}; {remedy}")))
    }

    /// The processor that computes one training: the first of the devices.
    ///
    /// # Errors
    /// If the backend is not compiled in, has no such device, or does not compute in the precision there.
    pub fn processor(&self) -> Result<Processor, Error> {
        self.open(self.devices.first().copied())
    }

    /// The processors that compute trainings: one for each device, and at least one.
    ///
    /// # Errors
    /// As [`processor`](Self::processor).
    pub fn processors(&self) -> Result<Vec<Processor>, Error> {
        if self.devices.is_empty() {
            return Ok(vec![self.processor()?]);
        }
        self.devices.iter().map(|device| self.open(Some(*device))).collect()
    }

    fn open(&self, device: Option<DeviceName>) -> Result<Processor, Error> {
        let processor = self.backend.open(device)?;
        self.check_precision(!processor.is_gpu())?;
        Ok(processor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_errors() {
        assert_eq!(TrainingConfig::default().check(), Ok(()));
        let wrong = TrainingConfig { momentum: 1.0, ..TrainingConfig::default() };
        let message = wrong.check().unwrap_err().to_string();
        assert_eq!(message, "training.momentum = 1 is out of range: it must be at least 0 and below 1");
        assert!(TrainingConfig { learning_rate: f64::NAN, ..TrainingConfig::default() }.check().is_err());
    }

    #[test]
    fn an_image_that_would_be_alone_in_a_batch_takes_no_step() {
        let config = TrainingConfig { batch_size: 64, ..TrainingConfig::default() };
        assert_eq!([128, 129, 130, 64, 1].map(|images| config.steps_per_epoch(images)), [2, 2, 3, 1, 1]);
    }

    #[test]
    fn devices_and_precision_are_left_out_of_files_unless_they_are_set() {
        let plain = toml::to_string(&TrainingConfig::default()).unwrap();
        assert!(!plain.contains("devices") && !plain.contains("precision"), "{plain}");
        let text = "backend = \"tch\"\ndevices = [\"cuda:0\", \"cuda:1\"]\nprecision = \"bfloat16\"\n";
        let config: TrainingConfig = toml::from_str(text).unwrap();
        assert_eq!(config.devices, [DeviceName::Cuda(0), DeviceName::Cuda(1)]);
        assert_eq!(config.check(), Ok(()));
        assert!(toml::to_string(&config).unwrap().starts_with(text));
    }

    #[test]
    fn devices_and_precisions_that_a_backend_does_not_have_are_errors_with_the_reason() {
        let message = |text: &str| toml::from_str::<TrainingConfig>(text).unwrap().check().unwrap_err().to_string();
        let twice = message("backend = 'tch'\ndevices = ['cuda:0', 'cuda:0']");
        assert_eq!(twice, "training.devices names \"cuda:0\" twice: name each device once");
        assert!(message("backend = 'tch'\ndevices = ['cuda:0', 'cpu']").contains("name either"));
        assert!(message("devices = ['cuda:0']").contains("`native` takes only \"cpu\""));
        assert!(message("precision = 'bfloat16'").contains("the backend `native` computes in float32 alone"));
        let on_cpu = message("backend = 'tch'\ndevices = ['cpu']\nprecision = 'bfloat16'");
        assert!(on_cpu.contains("it is for GPUs, and this is the CPU; take"), "{on_cpu}");
    }
}
