//! Bayesian optimisation of several objectives, as TEA-DNN searches (Cai et al. 2018): the baseline of
//! [`ModelBased`](super::ModelBased).
//!
//! After a random start, a Gaussian process for each objective is fitted to all evaluations, and the next network is the one
//! with the highest expected improvement of the hypervolume (Emmerich, Giannakoglou and Naujoks 2006) among random
//! candidates. Networks under way count as evaluated with their predicted values (kriging believer; Ginsbourger, Le Riche and
//! Carraro 2010). It has no policy, no neighbour of the front among the candidates, and no short training.

use anyhow::{Context as _, Result, ensure};
use child::space::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Proposal;
use super::belief::Belief;
use super::measure_first::Proposer;
use super::model_based::candidates::Candidates;
use super::model_based::improvement::Improvement;
use super::random::{restore_rng, save_rng};
use super::unseen::Unseen;
use crate::history::{Evaluation, History};
use crate::problem::Problem;
use crate::seal::{open, seal};
use crate::surrogate::{Encoder, Predicted, Start, Surrogate};

/// Settings of Bayesian optimisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BayesianConfig {
    /// Random networks that are evaluated before the first surrogate.
    pub start: usize,
    /// Most evaluations in the surrogate's training set.
    pub fitted: usize,
    /// Steps of the search for the surrogate's hyper-parameters before each proposal.
    pub fitting: usize,
    /// Random candidates for each proposal.
    pub candidates: usize,
}

impl Default for BayesianConfig {
    fn default() -> Self {
        Self { start: 10, fitted: Surrogate::MOST, fitting: 40, candidates: 1000 }
    }
}

impl BayesianConfig {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is not; the message begins with its name.
    pub fn check(&self) -> Result<()> {
        let settings = [("start", self.start, 2), ("fitted", self.fitted, 10), ("candidates", self.candidates, 1)];
        for (name, found, least) in settings {
            ensure!(found >= least, "{name} = {found}: it must be at least {least}");
        }
        Ok(())
    }
}

/// Proposes random candidates of high expected improvement.
pub struct Bayesian {
    config: BayesianConfig,
    encoder: Encoder,
    rng: ChaCha8Rng,
    /// Start of the next fit of the surrogate.
    hyperparameters: Start,
}

impl Bayesian {
    /// Candidates whose predictions follow those of the networks under way and of the networks chosen before.
    const SHORTLIST: usize = 100;

    /// Without a surrogate yet, all randomness from one seed.
    ///
    /// # Errors
    /// If a setting is out of range, or an architecture of the space gives no graph.
    pub fn new(config: BayesianConfig, problem: &Problem, seed: u64) -> Result<Self> {
        config.check().context("the strategy's settings")?;
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Ok(Self { config, encoder: Encoder::new(problem)?, rng, hyperparameters: Start::default() })
    }

    fn fit(&mut self, problem: &Problem, history: &History) -> Result<Surrogate> {
        let known = history.training_subset(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        let (columns, start, steps) = (history.targets().columns(), &self.hyperparameters, self.config.fitting);
        let surrogate = Surrogate::fit(columns, &known, &points, Predicted::All, start, steps, &mut self.rng)?;
        self.hyperparameters = surrogate.hyperparameters();
        Ok(surrogate)
    }

    /// Up to `count` of some candidates, the best one first; each is believed before the next one.
    fn choose(
        &mut self,
        problem: &Problem,
        history: &History,
        candidates: &[Architecture],
        unseen: &mut Unseen<'_>,
        count: usize,
    ) -> Result<Vec<Architecture>> {
        let surrogate = self.fit(problem, history)?;
        let under_way = under_way(history);
        let architectures: Vec<&Architecture> =
            under_way.iter().map(|(architecture, _)| *architecture).chain(candidates).collect();
        let points = self.encoder.encode_all(problem, architectures.iter().copied())?;
        let (prediction, warps) = (surrogate.predict(&points), surrogate.warps());
        let targets = history.targets();
        let belief = |place: usize| {
            let known = under_way.get(place).and_then(|(_, known)| *known);
            Belief::predicted(&prediction, place, targets).knowing(known, &warps, targets)
        };
        let beliefs: Vec<Belief> = (0..points.len()).map(belief).collect();
        let mut acquisition = Improvement::of_history(history, &surrogate);
        let (pending, others) = beliefs.split_at(under_way.len());
        pending.iter().for_each(|belief| acquisition.believe(&belief.means, &belief.counts));

        let improvements: Vec<f64> =
            others.par_iter().map(|belief| acquisition.of(&belief.means, &belief.deviations, &belief.counts)).collect();
        let mut order: Vec<usize> = (0..others.len()).collect();
        order.sort_by(|a, b| improvements[*b].total_cmp(&improvements[*a]));
        order.truncate(Self::SHORTLIST);
        let places: Vec<usize> = (0..pending.len()).chain(order.iter().map(|place| pending.len() + place)).collect();
        let mut covariances = surrogate.covariances(&prediction, &points, &places);
        for (place, belief) in pending.iter().enumerate() {
            let unknown = belief.is_fixed.iter().enumerate().filter(|(_, is_fixed)| !**is_fixed);
            unknown.for_each(|(objective, _)| covariances.observe(objective, place));
        }
        let mut open: Vec<usize> = (pending.len()..places.len()).collect();
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let improvement = |place: &usize| {
                let belief = &beliefs[places[*place]];
                let deviations = belief.deviations.iter().enumerate();
                let deviations: Vec<f64> = deviations
                    .map(|(objective, exact)| covariances.deviation(objective, *place).unwrap_or(*exact))
                    .collect();
                acquisition.of(&belief.means, &deviations, &belief.counts)
            };
            let improvements: Vec<f64> = open.par_iter().map(improvement).collect();
            // Of equals the first one.
            let best = (0..open.len()).rev().max_by(|a, b| improvements[*a].total_cmp(&improvements[*b]));
            let Some(place) = best.map(|best| open.remove(best)) else { break };
            let (architecture, belief) = (architectures[places[place]], &beliefs[places[place]]);
            if unseen.take(architecture)? {
                chosen.push(architecture.clone());
                acquisition.believe(&belief.means, &belief.counts);
                (0..belief.means.len()).for_each(|objective| covariances.observe(objective, place));
            }
        }
        Ok(chosen)
    }
}

/// Networks that have a pending job, or are measured and wait for their training, with what is known of them.
fn under_way(history: &History) -> Vec<(&Architecture, Option<&Evaluation>)> {
    let pending = history.pending().iter().map(|job| (&job.candidate.architecture, history.known(&job.candidate.key)));
    let waits = |one: &&Evaluation| !one.status.is_end() && history.pending_job(&one.key).is_none();
    let waiting = history.evaluations().iter().filter(waits).map(|one| (&one.architecture, Some(one)));
    pending.chain(waiting).collect()
}

impl Proposer for Bayesian {
    fn name(&self) -> &'static str {
        "bayesian"
    }

    fn propose(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Vec<Proposal>> {
        let mut unseen = Unseen::new(problem, history);
        let mut found = Vec::new();
        let complete = history.training_set().iter().filter(|one| problem.targets().is_complete(&one.values)).count();
        if complete >= self.config.start {
            let mut candidates = Candidates::new(problem, history);
            candidates.push_random(problem.space(), self.config.candidates, &mut self.rng);
            found = self.choose(problem, history, &candidates.found, &mut unseen, count)?;
        }
        let missing = count - found.len();
        found.extend(match complete {
            0 if history.evaluations().len() >= self.config.start => unseen.nearer_bounds(missing, &mut self.rng)?,
            // At the start, and where the last unknown networks are hard to draw.
            _ => unseen.random(missing, &mut self.rng)?,
        });
        Ok(found.into_iter().map(Proposal::from).collect())
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(seal(self.name(), &[&save_rng(&self.rng)?, &serde_json::to_vec(&self.hyperparameters)?]))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let [rng, hyperparameters] = open(self.name(), state)?;
        let hyperparameters = serde_json::from_slice(hyperparameters).context("the saved state does not fit")?;
        self.rng = restore_rng(rng)?;
        self.hyperparameters = hyperparameters;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;
    use crate::history::{Candidate, Job, Work};

    fn bayesian(problem: &Problem, seed: u64) -> Bayesian {
        Bayesian::new(BayesianConfig::default(), problem, seed).unwrap()
    }

    /// A problem, and the strategy after its random start.
    fn started() -> (Problem, History, Bayesian) {
        let problem = toy::problem(&[5; 6]);
        let mut history = toy::history(&problem);
        let mut strategy = bayesian(&problem, 1);
        let start = strategy.propose(&problem, &history, 10).unwrap();
        assert_eq!(strategy.hyperparameters, Start::default(), "the start is random");
        toy::evaluate(&problem, &mut history, &start);
        (problem, history, strategy)
    }

    #[test]
    fn proposals_improve_the_front_more_often_than_random_ones() {
        let (problem, history, mut strategy) = started();
        let mut random = bayesian(&problem, 2);
        random.config.start = usize::MAX;
        let entering = |strategy: &mut Bayesian| {
            let found = strategy.propose(&problem, &history, 20).unwrap();
            let mut with = history.clone();
            toy::evaluate(&problem, &mut with, &found);
            with.hypervolume_share().unwrap()
        };
        let (ours, theirs) = (entering(&mut strategy), entering(&mut random));
        assert!(ours > theirs + 0.01, "{ours} {theirs}");
    }

    #[test]
    fn networks_under_way_are_believed_and_not_proposed_again() {
        let (problem, mut history, strategy) = started();
        let state = strategy.save().unwrap();
        let again = |history: &History| {
            let mut strategy = bayesian(&problem, 3);
            strategy.restore(&state).unwrap();
            strategy.propose(&problem, history, 1).unwrap().remove(0).architecture
        };
        let first = again(&history);
        assert_eq!(again(&history), first);
        let key = problem.key(&first).unwrap();
        let candidate = Candidate { architecture: first.clone(), key };
        history.begin(Job { number: history.next_number(), candidate, work: Work::Measure { target: 0 } });
        assert_ne!(again(&history), first);
    }

    #[test]
    fn every_network_of_a_small_space_is_proposed_once() {
        let problem = toy::problem(&[2, 3, 2]);
        let mut history = toy::history(&problem);
        let mut strategy = Bayesian::new(BayesianConfig { start: 4, ..Default::default() }, &problem, 4).unwrap();
        for expected in [5, 5, 2, 0, 0] {
            let round = strategy.propose(&problem, &history, 5).unwrap();
            assert_eq!(round.len(), expected);
            toy::evaluate(&problem, &mut history, &round);
        }
        assert_eq!(history.evaluations().len(), 12);
    }

    #[test]
    fn settings_out_of_range_are_rejected() {
        for wrong in [
            BayesianConfig { start: 1, ..Default::default() },
            BayesianConfig { fitted: 9, ..Default::default() },
            BayesianConfig { candidates: 0, ..Default::default() },
        ] {
            assert!(wrong.check().unwrap_err().to_string().contains("it must be at least"), "{wrong:?}");
        }
    }
}
