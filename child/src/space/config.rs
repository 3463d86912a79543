//! A search space as an experiment file describes it.

use serde::{Deserialize, Serialize};

use super::{Mobile, MobileSettings, NasBench201, NasBench201Settings, Nasnet, NasnetSettings, SearchSpace};
use crate::Error;

/// A space's name and settings; every setting has a default, and keys that the space does not have are errors.
///
/// ```toml
/// [space]
/// name = "nasbench201"
/// operations = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum SpaceConfig {
    /// `name = "nasbench201"`.
    NasBench201(NasBench201Settings),
    /// `name = "nasnet"`.
    Nasnet(NasnetSettings),
    /// `name = "mobile"`.
    Mobile(MobileSettings),
}

impl Default for SpaceConfig {
    fn default() -> Self {
        Self::NasBench201(NasBench201Settings::default())
    }
}

impl SpaceConfig {
    /// The space.
    ///
    /// # Errors
    /// If a setting is wrong, or every decision has a single choice.
    pub fn build(&self) -> Result<Box<dyn SearchSpace>, Error> {
        let space: Box<dyn SearchSpace> = match self {
            Self::NasBench201(settings) => Box::new(NasBench201::new(settings.clone())?),
            Self::Nasnet(settings) => Box::new(Nasnet::new(settings.clone())?),
            Self::Mobile(settings) => Box::new(Mobile::new(settings.clone())?),
        };
        if space.size() < 2 {
            let name = space.name();
            return Err(Error(format!(
                "there is nothing to search in this {name}: every decision has a single choice, so give one of them more"
            )));
        }
        Ok(space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<SpaceConfig, toml::de::Error> {
        toml::from_str(text)
    }

    fn build_error(text: &str) -> String {
        match config(text).unwrap().build() {
            Ok(space) => panic!("{text}: built {}", space.name()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_name_is_enough() {
        assert_eq!(config("name = 'nasbench201'"), Ok(SpaceConfig::NasBench201(NasBench201Settings::default())));
        assert_eq!(config("name = 'nasnet'"), Ok(SpaceConfig::Nasnet(NasnetSettings::default())));
        assert_eq!(config("name = 'mobile'"), Ok(SpaceConfig::Mobile(MobileSettings::default())));
        for (name, decisions) in [("nasbench201", 6), ("nasnet", 42), ("mobile", 21)] {
            let space = config(&format!("name = '{name}'")).unwrap().build().unwrap();
            assert_eq!((space.name(), space.decisions().len()), (name, decisions));
        }
    }

    #[test]
    fn settings_are_read_in_any_order() {
        let text = "operations = ['none', 'skip_connect']\ncells = 2\nname = 'nasbench201'\nchannels = 8";
        let space = config(text).unwrap().build().unwrap();
        assert_eq!(space.decisions()[0].choices, ["none", "skip_connect"]);
        let text = "name = 'mobile'\nstrides = [1]\nwidths = [[8, 16]]\nsqueeze_excitation = [true]";
        assert_eq!(config(text).unwrap().build().unwrap().decisions().len(), 6);
    }

    #[test]
    fn written_settings_read_back() {
        for name in ["nasbench201", "nasnet", "mobile"] {
            let resolved = config(&format!("name = '{name}'")).unwrap();
            assert_eq!(config(&toml::to_string(&resolved).unwrap()), Ok(resolved));
        }
    }

    #[test]
    fn unknown_keys_and_names_are_errors() {
        for (text, message) in [
            ("name = 'nasbench201'\nchanels = 8", "unknown field `chanels`"),
            ("chanels = 8\nname = 'nasbench201'", "unknown field `chanels`"),
            ("name = 'nasnet'\ncells = 8", "unknown field `cells`"),
            ("name = 'mobile'\nwidth = [8]", "unknown field `width`, expected one of `stems`"),
            (
                "name = 'nasbench101'",
                "unknown variant `nasbench101`, expected one of `nasbench201`, `nasnet`, `mobile`",
            ),
            ("channels = 8", "missing field `name`"),
            ("name = 'nasbench201'\nchannels = -8", "invalid value"),
            ("name = 'nasbench201'\nname = 'nasnet'", "duplicate key"),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn wrong_settings_are_named_in_errors() {
        for (text, message) in [
            (
                "name = 'nasbench201'\noperations = ['none', 'nor_conv_3x4']",
                "`nor_conv_3x4` is not an operation of nasbench201, did you mean `nor_conv_3x3`?; its operations are: \
                 none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3",
            ),
            ("name = 'nasnet'\noperations = ['x']", "`x` is not an operation of nasnet; its operations are: none,"),
            ("name = 'nasbench201'\noperations = []", "`operations` is empty"),
            ("name = 'nasnet'\noperations = ['none', 'none']", "`operations` names none twice"),
            ("name = 'nasbench201'\noperations = ['none']", "nothing to search in this nasbench201"),
            ("name = 'nasbench201'\nchannels = 0", "`channels` is 0, but must lie between 1 and 4096"),
            ("name = 'nasbench201'\ncells = 0", "`cells` is 0"),
            ("name = 'nasnet'\nblocks = 0", "`blocks` is 0"),
            ("name = 'nasnet'\nblocks = 1000000", "`blocks` is 1000000"),
            ("name = 'nasnet'\nwidths = [8, 0]", "`widths` is 0"),
            ("name = 'nasnet'\ndepths = []", "`depths` is empty"),
            ("name = 'mobile'\nkernels = [3, 4]", "a kernel of side 4 has no middle"),
            ("name = 'mobile'\ndepths = [0, 1]", "`depths` is 0"),
            ("name = 'mobile'\nstrides = [1, 2]", "there are lists for 4 stages, but `strides` has 2"),
            ("name = 'mobile'\nstrides = []\nwidths = []", "`strides` is empty"),
            ("name = 'mobile'\nsqueeze_excitation = [true, true]", "names true twice"),
        ] {
            let found = build_error(text);
            assert!(found.contains(message), "{text}: {found}");
        }
    }

    #[test]
    fn a_single_architecture_is_nothing_to_search() {
        let text = "name = 'mobile'\nstrides = [1]\nwidths = [[8]]\nsqueeze_excitation = [true]\nstems = [8]\n\
                    kernels = [3]\nexpansions = [1]\ndepths = [1]";
        assert!(build_error(text).contains("nothing to search in this mobile"));
    }
}
