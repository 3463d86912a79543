//! Choosing a strategy by name.

use anyhow::Result;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::measure_first::MeasureFirst;
use super::{
    Bayesian, BayesianConfig, Evolution, EvolutionConfig, ModelBased, ModelBasedConfig, PolicyGradient,
    PolicyGradientConfig, Random, RandomConfig, Strategy,
};
use crate::problem::Problem;

/// A strategy's name and settings, as in `strategy = { name = "evolution", crossover = 0.3 }`. Every setting has a
/// default; unknown settings are rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum StrategyConfig {
    /// Policy gradient on episodes that a surrogate judges, evaluations by expected hypervolume improvement.
    ModelBased(ModelBasedConfig),
    /// Bayesian optimisation over random candidates.
    Bayesian(BayesianConfig),
    /// Policy gradient on real evaluations.
    PolicyGradient(PolicyGradientConfig),
    /// Random search.
    Random(RandomConfig),
    /// Pareto evolution.
    Evolution(EvolutionConfig),
}

/// The model-based strategy, which needs the fewest evaluations.
impl Default for StrategyConfig {
    fn default() -> Self {
        Self::ModelBased(ModelBasedConfig::default())
    }
}

impl StrategyConfig {
    /// The name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ModelBased(_) => "model-based",
            Self::Bayesian(_) => "bayesian",
            Self::PolicyGradient(_) => "policy-gradient",
            Self::Random(_) => "random",
            Self::Evolution(_) => "evolution",
        }
    }

    /// Whether the strategy also learns from measurements imported from other logs.
    pub fn learns_from_imports(&self) -> bool {
        matches!(self, Self::ModelBased(_) | Self::Bayesian(_))
    }

    /// The strategy for a problem, all its randomness from one seed; `device` computes the policy.
    pub fn build(&self, seed: u64, problem: &Problem, device: &Device) -> Result<Box<dyn Strategy>> {
        Ok(match self {
            Self::ModelBased(config) => Box::new(ModelBased::new(config.clone(), problem, device, seed)?),
            Self::Bayesian(config) => Box::new(MeasureFirst::new(Bayesian::new(config.clone(), problem, seed)?)),
            Self::PolicyGradient(config) => {
                Box::new(MeasureFirst::new(PolicyGradient::new(config.clone(), problem, device, seed)?))
            }
            Self::Random(RandomConfig {}) => Box::new(MeasureFirst::new(Random::new(seed))),
            Self::Evolution(config) => Box::new(MeasureFirst::new(Evolution::new(config.clone(), seed)?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;
    use crate::policy::{Algorithm, PolicyConfig, UpdateConfig};

    fn read(text: &str) -> Result<StrategyConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_have_defaults_by_name() {
        assert_eq!(read("name = 'random'"), Ok(StrategyConfig::Random(RandomConfig {})));
        assert_eq!(read("name = 'evolution'"), Ok(StrategyConfig::Evolution(EvolutionConfig::default())));
        let Ok(StrategyConfig::PolicyGradient(config)) =
            read("name = 'policy-gradient'\n[policy]\nhidden = 64\n[update]\nalgorithm = 'ppo'")
        else {
            panic!("not read");
        };
        assert_eq!(config.policy.hidden, 64);
        // A table given in part must not change the settings that it leaves out.
        let default = PolicyGradientConfig::default();
        let update = UpdateConfig { algorithm: Algorithm::Ppo, ..default.update };
        assert_eq!(config.update, update);
        assert_eq!(config.policy, PolicyConfig { hidden: 64, ..default.policy });
    }

    #[test]
    fn unknown_settings_and_names_are_rejected() {
        for (text, expected) in [
            ("name = 'random'\nstart = 3", "start"),
            ("name = 'evolution'\nmutation = 0.5", "mutation"),
            ("name = 'policy-gradient'\n[update]\nlerning_rate = 0.1", "lerning_rate"),
            ("name = 'policy-gradient'\n[policy]\nlayers = 2", "layers"),
            ("name = 'annealing'", "annealing"),
            ("crossover = 0.1", "name"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn names_build_their_strategy_and_round_trip() {
        let problem = toy::problem(&[2, 2]);
        for name in ["random", "evolution", "policy-gradient", "bayesian", "model-based"] {
            let config = read(&format!("name = '{name}'")).unwrap();
            assert_eq!(config.build(1, &problem, &Device::default()).unwrap().name(), name);
            assert_eq!(config.name(), name);
            assert_eq!(read(&toml::to_string(&config).unwrap()), Ok(config));
        }
        let wrong = read("name = 'evolution'\ncrossover = 1.5").unwrap();
        assert!(wrong.build(1, &problem, &Device::default()).is_err());
    }
}
