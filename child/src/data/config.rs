//! The `[data]` table of an experiment file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::dataset::check_fraction;
use super::decode::Channels;
use super::folder::Folder;
use super::{Dataset, cifar10, digits};
use crate::Error;

/// Most pixels a side to which images are brought; a larger number is a typing mistake.
const LARGEST_SIDE: u32 = 4096;

/// Which data set is used, and how much of it.
///
/// ```toml
/// name = "folder"       # or "digits", the default, or "cifar10"
/// dir = "photos"        # for "folder"; for "cifar10" it is "data" unless said otherwise
/// size = 64             # for "folder": side in pixels to which images are brought; absent, all must be of one size
/// channels = 3          # for "folder": 1 (grey) or 3 (colour); absent, grey if all images are
/// validation = 0.2      # fraction of the training images that is held out; for "folder" in place of its validation/
/// limit = 1000          # number of training images, for a quick run; absent, all
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct DataConfig {
    /// Where the images come from.
    pub source: Source,
    /// Fraction of the training images that is held out for validation; `None` for an image folder whose own
    /// validation part is to be used where there is one.
    pub validation: Option<f64>,
    /// Number of training images that are kept, validation images to be held out included; `None` for all.
    pub limit: Option<usize>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The digits that ship inside the program.
    Digits,
    /// CIFAR-10 in its binary version.
    Cifar10 {
        /// The folder of its files or archive, or the folder in which that is.
        dir: PathBuf,
    },
    /// A folder of images.
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Side in pixels to which images are brought.
        size: Option<u32>,
        /// Channels to which images are brought.
        channels: Option<Channels>,
    },
}

impl Source {
    /// Fraction held out where none is given: a quarter of the few digits, 5,000 of CIFAR-10's 50,000 as is the custom
    /// (Zoph & Le 2017, section 4.1), a fifth of a folder.
    fn default_validation(&self) -> f64 {
        match self {
            Self::Digits => 0.25,
            Self::Cifar10 { .. } => 0.1,
            Self::Folder { .. } => 0.2,
        }
    }
}

impl DataConfig {
    /// A source with its defaults: all of its images, and its usual part held out.
    pub fn new(source: Source) -> Self {
        let validation = match &source {
            Source::Digits | Source::Cifar10 { .. } => Some(source.default_validation()),
            Source::Folder { .. } => None,
        };
        Self { source, validation, limit: None }
    }

    /// Fraction to give to [`Dataset::split`].
    pub fn validation_fraction(&self) -> f64 {
        self.validation.unwrap_or_else(|| self.source.default_validation())
    }

    /// Loads the data set, with its training part limited as configured. Nothing is downloaded.
    ///
    /// # Errors
    /// If the files are missing or wrong.
    pub fn load(&self) -> Result<Dataset, Error> {
        self.load_with(None, &mut |_, _| ())
    }

    /// The same; `progress` receives the number of image files read so far, and of all, which begins again where they are
    /// read twice. `free_bytes` is the memory that the images of a folder may take, if it is known.
    ///
    /// # Errors
    /// As for [`load`](Self::load), and if the images of a folder do not fit into the memory.
    pub fn load_with(&self, free_bytes: Option<u64>, progress: &mut dyn FnMut(usize, usize)) -> Result<Dataset, Error> {
        let mut dataset = match &self.source {
            Source::Digits => digits::load()?,
            Source::Cifar10 { dir } => cifar10::load(dir)?,
            Source::Folder { dir, size, channels } => {
                let (size, channels, limit) = (*size, *channels, self.limit);
                let folder = Folder { dir, size, channels, limit, uses_validation: self.validation.is_none() };
                return folder.load(free_bytes, progress);
            }
        };
        if let Some(limit) = self.limit {
            dataset.limit_train(limit)?;
        }
        Ok(dataset)
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self::new(Source::Digits)
    }
}

/// The table as it is in the file: flat, so that the place of a wrong key is known. (serde buffers an enum that is tagged
/// by `name`, which loses the place, and its variants without keys accept any.)
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Channels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    #[default]
    Digits,
    Cifar10,
    Folder,
}

impl TryFrom<Table> for DataConfig {
    type Error = Error;

    fn try_from(table: Table) -> Result<Self, Error> {
        let wrong = |key, reason: &str| Err(Error::setting(key, reason));
        if table.name != Name::Folder {
            if table.size.is_some() {
                return wrong("size", "only the data set \"folder\" has it; remove it");
            }
            if table.channels.is_some() {
                return wrong("channels", "only the data set \"folder\" has it; remove it");
            }
        }
        if let Some(size) = table.size.filter(|size| !(1..=LARGEST_SIDE).contains(size)) {
            return wrong("size", &format!("{size} is out of range: an image has 1 to {LARGEST_SIDE} pixels a side"));
        }
        if table.limit == Some(0) {
            return wrong("limit", "no image would be left to train on");
        }
        if let Some(fraction) = table.validation {
            check_fraction(fraction)?;
        }
        let source = match (table.name, table.dir) {
            (Name::Digits, None) => Source::Digits,
            (Name::Digits, Some(_)) => return wrong("dir", "the digits ship inside the program; remove it"),
            (Name::Cifar10, dir) => Source::Cifar10 { dir: dir.unwrap_or_else(|| PathBuf::from("data")) },
            (Name::Folder, Some(dir)) => Source::Folder { dir, size: table.size, channels: table.channels },
            (Name::Folder, None) => return wrong("dir", "the data set \"folder\" needs the folder of the images"),
        };
        let defaults = Self::new(source);
        Ok(Self { validation: table.validation.or(defaults.validation), limit: table.limit, ..defaults })
    }
}

impl From<DataConfig> for Table {
    fn from(config: DataConfig) -> Self {
        let DataConfig { source, validation, limit } = config;
        let (name, dir, size, channels) = match source {
            Source::Digits => (Name::Digits, None, None, None),
            Source::Cifar10 { dir } => (Name::Cifar10, Some(dir), None, None),
            Source::Folder { dir, size, channels } => (Name::Folder, Some(dir), size, channels),
        };
        Self { name, dir, size, channels, validation, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataConfig, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_data_set() {
        assert_eq!(read("").unwrap(), DataConfig::default());
        assert_eq!(read("name = \"digits\"").unwrap().validation_fraction(), 0.25);
        let cifar = read("name = \"cifar10\"").unwrap();
        assert_eq!((cifar.source, cifar.validation), (Source::Cifar10 { dir: "data".into() }, Some(0.1)));
        let folder = read("name = \"folder\"\ndir = \"x\"").unwrap();
        assert_eq!((folder.validation, folder.validation_fraction()), (None, 0.2));
    }

    #[test]
    fn written_settings_read_back() {
        for text in [
            "name = \"digits\"\nvalidation = 0.5\nlimit = 200\n",
            "name = \"cifar10\"\ndir = \"elsewhere\"\nvalidation = 0.1\n",
            "name = \"folder\"\ndir = \"x\"\nsize = 32\nchannels = 3\n",
        ] {
            assert_eq!(toml::to_string(&read(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        for name in ["digits", "cifar10", "folder"] {
            let error = read(&format!("name = \"{name}\"\ndir = \"x\"\nszie = 3")).unwrap_err();
            assert!(error.contains("line 3, column 1") && error.contains("unknown field `szie`"), "{error}");
        }
        let error = read("name = \"cifar11\"").unwrap_err();
        assert!(error.contains("line 1, column 8") && error.contains("cifar10"), "{error}");
    }

    #[test]
    fn wrong_settings_are_errors_with_their_key() {
        for (text, key) in [
            ("dir = \"x\"", "dir"),
            ("size = 8", "size"),
            ("name = \"cifar10\"\nchannels = 1", "channels"),
            ("name = \"folder\"", "dir"),
            ("name = \"folder\"\ndir = \"x\"\nsize = 0", "size"),
            ("name = \"folder\"\ndir = \"x\"\nsize = 4097", "size"),
            ("limit = 0", "limit"),
            ("validation = 1.0", "validation"),
            ("validation = nan", "validation"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(&format!("`{key}`: ")), "{text}: {error}");
        }
        let error = read("name = \"folder\"\ndir = \"x\"\nchannels = 4").unwrap_err();
        assert!(error.contains("line 3, column 12") && error.contains("1 (grey) or 3 (colour)"), "{error}");
    }

    #[test]
    fn the_limit_is_applied_on_loading() {
        let dataset = read("limit = 100").unwrap().load().unwrap();
        assert_eq!(dataset.train.len(), 100);
        assert!(dataset.train.class_counts(10).iter().all(|count| (9..=11).contains(count)));
        assert!(read("limit = 9").unwrap().load().unwrap_err().to_string().contains("`limit`"));
    }
}
