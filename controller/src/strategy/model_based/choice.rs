//! Choosing networks by expected hypervolume improvement.

use std::sync::Arc;

use child::space::Architecture;
use rayon::prelude::*;

use super::improvement::Improvement;
use super::isomorphic::IsomorphicErrors;
use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::strategy::belief::Belief;
use crate::surrogate::{Covariances, Encoding, Surrogate};

/// A network that may be chosen, or that has a job.
#[derive(Debug, Clone)]
pub(super) struct Alternative<'a> {
    pub architecture: &'a Architecture,
    pub point: Arc<Encoding>,
    /// Its evaluation so far, if it has one.
    pub known: Option<&'a Evaluation>,
    pub stage: Stage,
}

/// How far the jobs of a network have come, and what is assumed of those that are pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is known of it.
    New,
    /// Measured, not trained.
    Measured,
    /// Measured and trained for the short schedule.
    Short,
    /// It is being measured.
    Measuring,
    /// It is being trained for the short schedule.
    TrainingShort,
    /// It is being trained in full, or will be as soon as it is measured.
    TrainingFull,
}

/// The alternatives of a decision, with what is believed of them; each choice changes the beliefs about the others.
pub(super) struct Choice<'a> {
    /// Place of the error among the objectives.
    error: Option<usize>,
    alternatives: Vec<Alternative<'a>>,
    beliefs: Vec<Belief>,
    improvement: Improvement<'a>,
    /// The most promising alternatives, after those with pending jobs.
    shortlist: Vec<usize>,
    covariances: Covariances,
    is_open: Vec<bool>,
}

/// A place in the shortlist, with its expected improvement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    place: usize,
    pub improvement: f64,
}

impl<'a> Choice<'a> {
    /// Most alternatives of one stage that remain after the first look.
    const SHORTLIST: usize = 150;
    /// Of several fronts, those that remain for each besides.
    const OF_EACH: usize = 60;

    pub fn new(
        history: &'a History,
        surrogate: &Surrogate,
        isomorphic: &IsomorphicErrors,
        alternatives: Vec<Alternative<'a>>,
    ) -> Self {
        let points: Vec<Arc<Encoding>> = alternatives.iter().map(|each| Arc::clone(&each.point)).collect();
        let prediction = surrogate.predict(&points);
        let warps = surrogate.warps();
        let targets = history.targets();
        let belief = |(index, alternative): (usize, &Alternative)| {
            let mut belief = Belief::predicted(&prediction, index, targets);
            if let Some((objective, mean, deviation)) = isomorphic.of(alternative.point.network) {
                belief.fix(objective, mean, deviation);
            }
            belief.knowing(alternative.known, &warps, targets)
        };
        let beliefs: Vec<Belief> = alternatives.iter().enumerate().map(belief).collect();
        let mut improvement = Improvement::of_history(history, surrogate);
        let mut shortlist: Vec<usize> = Vec::new();
        for (index, alternative) in alternatives.iter().enumerate() {
            if alternative.is_pending() {
                shortlist.push(index);
            }
            if alternative.stage == Stage::TrainingFull {
                improvement.believe(&beliefs[index].means, &beliefs[index].counts);
            }
        }
        let pending = shortlist.len();
        let improvements: Vec<f64> = beliefs
            .par_iter()
            .zip(&alternatives)
            .map(|(belief, alternative)| match alternative.is_pending() {
                true => 0.0,
                false => improvement.of(&belief.means, &belief.deviations, &belief.counts),
            })
            .collect();
        for stage in [Stage::New, Stage::Measured, Stage::Short] {
            let mut left: Vec<usize> =
                (0..alternatives.len()).filter(|index| alternatives[*index].stage == stage).collect();
            let mut take = |improvements: &dyn Fn(usize) -> f64, most: usize| {
                left.sort_by(|a, b| improvements(*b).total_cmp(&improvements(*a)));
                shortlist.extend(left.drain(..most.min(left.len())));
            };
            take(&|index| improvements[index], Self::SHORTLIST);
            let targets = improvement.targets();
            for target in targets.iter().filter(|_| targets.len() > 1) {
                let on = |index: usize| {
                    let Belief { means, deviations, counts, .. } = &beliefs[index];
                    improvement.on(*target, means, deviations, counts)
                };
                let on: Vec<f64> = (0..beliefs.len()).into_par_iter().map(on).collect();
                take(&|index| on[index], Self::OF_EACH);
            }
        }
        let covariances = surrogate.covariances(&prediction, &points, &shortlist);
        let is_open = (0..shortlist.len()).map(|place| place >= pending).collect();
        let error = targets.common(Objective::Error);
        let mut this = Self { error, alternatives, beliefs, improvement, shortlist, covariances, is_open };
        (0..pending).for_each(|place| this.assume(place));
        this
    }

    /// The alternative of highest expected improvement among those at a stage, of all fronts or of one target's; of equals the
    /// one that was first before any choice.
    pub fn best(&self, stage: Stage, front: Option<usize>) -> Option<Best> {
        let places: Vec<usize> =
            (0..self.shortlist.len()).filter(|place| self.is_open[*place] && self.at(*place).stage == stage).collect();
        let improvement = |place: usize| {
            let Belief { means, counts, .. } = &self.beliefs[self.shortlist[place]];
            let deviations = self.present_deviations(place);
            let improvement = match front {
                Some(target) => self.improvement.on(target, means, &deviations, counts),
                None => self.improvement.of(means, &deviations, counts),
            };
            Best { place, improvement }
        };
        let all: Vec<Best> = places.into_par_iter().map(improvement).collect();
        all.into_iter().reduce(|a, b| if b.improvement > a.improvement { b } else { a })
    }

    /// Standard deviations at a place of the shortlist, given what is assumed of others.
    fn present_deviations(&self, place: usize) -> Vec<f64> {
        let Belief { deviations, is_fixed, .. } = &self.beliefs[self.shortlist[place]];
        let mut deviations = deviations.clone();
        for (column, deviation) in deviations.iter_mut().enumerate().filter(|(column, _)| !is_fixed[*column]) {
            *deviation = self.covariances.deviation(column, place).unwrap_or(*deviation);
        }
        deviations
    }

    /// The targets that an alternative is worth measuring on: where it is clearly out, nothing would be gained.
    pub fn worthwhile_targets(&self, best: Best) -> Vec<usize> {
        /// Least share of the improvement of all fronts.
        const LEAST: f64 = 0.02;
        let Belief { means, counts, .. } = &self.beliefs[self.shortlist[best.place]];
        let deviations = self.present_deviations(best.place);
        let mut targets = self.improvement.targets();
        if targets.len() > 1 {
            let least = LEAST * self.improvement.of(means, &deviations, counts);
            targets.retain(|target| self.improvement.on(*target, means, &deviations, counts) >= least);
        }
        targets
    }

    /// Takes an alternative out. Other encodings of its network are out as well where `with_network`.
    pub fn close(&mut self, best: Best, with_network: bool) {
        self.is_open[best.place] = false;
        let network = self.at(best.place).point.network;
        for place in 0..self.shortlist.len() {
            let is_same = self.at(place).point.network == network;
            self.is_open[place] &= !(with_network && is_same);
        }
    }

    /// Goes on as if a job of this alternative was decided on: it takes a pending stage.
    pub fn believe(&mut self, best: Best, stage: Stage) {
        let index = self.shortlist[best.place];
        self.alternatives[index].stage = stage;
        if stage == Stage::TrainingFull {
            let Belief { means, counts, .. } = &self.beliefs[index];
            self.improvement.believe(means, counts);
        }
        self.assume(best.place);
    }

    /// Updates the covariances by the result of a pending job, which is yet unknown.
    fn assume(&mut self, place: usize) {
        let index = self.shortlist[place];
        if self.alternatives[index].stage == Stage::TrainingShort {
            self.covariances.observe_short(place);
            return;
        }
        let is_trained = self.alternatives[index].stage == Stage::TrainingFull;
        for objective in 0..self.beliefs[index].means.len() {
            let is_error = self.error == Some(objective);
            if !self.beliefs[index].is_fixed[objective] && (is_trained || !is_error) {
                self.covariances.observe(objective, place);
            }
        }
    }

    fn at(&self, place: usize) -> &Alternative<'a> {
        &self.alternatives[self.shortlist[place]]
    }

    pub fn architecture(&self, best: Best) -> &'a Architecture {
        self.at(best.place).architecture
    }

    /// Predicted means of the objectives that are not known.
    pub fn forecast(&self, best: Best) -> Vec<Option<f64>> {
        let index = self.shortlist[best.place];
        let values = self.alternatives[index].known.map_or(&[][..], |known| &known.values);
        let means = self.beliefs[index].means.iter().enumerate();
        means.map(|(objective, mean)| values.get(objective).is_none_or(Option::is_none).then_some(*mean)).collect()
    }

    /// Standard deviations of the predictions, before anything was believed.
    pub fn deviations(&self, best: Best) -> &[f64] {
        &self.beliefs[self.shortlist[best.place]].deviations
    }
}

impl Alternative<'_> {
    fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Measuring | Stage::TrainingShort | Stage::TrainingFull)
    }
}
