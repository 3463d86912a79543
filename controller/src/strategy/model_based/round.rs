//! Decisions with the surrogate: the next measurements, the next trainings.

use anyhow::Result;
use child::space::Architecture;

use super::choice::{Alternative, Choice, Stage};
use super::isomorphic::IsomorphicErrors;
use super::simulated::SimulatedStats;
use super::stage::{is_ready, stage_of};
use super::{Forecast, ModelBased};
use crate::history::{Evaluation, History, Work};
use crate::objective::Objective;
use crate::pareto::non_dominated;
use crate::problem::{Fidelity, Problem};
use crate::strategy::unseen::Unseen;
use crate::strategy::{Diagnostics, Prediction, Proposal, WantedJob};
use crate::surrogate::{Predicted, Surrogate, Warp};

/// Jobs that were decided on together.
pub(super) struct Round {
    pub jobs: Vec<WantedJob>,
    pub diagnostics: Diagnostics,
    /// The scale of each objective.
    warps: Vec<Warp>,
}

impl ModelBased {
    /// Fits the surrogate, and continues from its hyper-parameters the next time.
    pub(super) fn fit(
        &mut self,
        problem: &Problem,
        history: &History,
        predicted: Predicted,
    ) -> Result<(Surrogate, IsomorphicErrors)> {
        let known = history.training_subset(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        let (targets, start, steps) = (history.targets(), &self.hyperparameters, self.config.fitting);
        let surrogate = Surrogate::fit(targets.columns(), &known, &points, predicted, start, steps, &mut self.rng)?;
        self.hyperparameters = surrogate.hyperparameters();
        let isomorphic = IsomorphicErrors::new(targets, &known, &points, &surrogate);
        Ok((surrogate, isomorphic))
    }

    /// The alternatives with a pending job, then others.
    fn alternatives<'a>(
        &mut self,
        problem: &Problem,
        history: &'a History,
        others: impl Iterator<Item = (&'a Architecture, Option<&'a Evaluation>, Stage)>,
    ) -> Result<Vec<Alternative<'a>>> {
        let fidelity = problem.fidelity();
        let pending = history.pending().iter().map(|job| {
            let known = history.known(&job.candidate.key);
            (&job.candidate.architecture, known, stage_of(job, fidelity))
        });
        let mut alternatives = Vec::new();
        for (architecture, known, stage) in pending.chain(others) {
            let point = self.encoder.encode(problem, architecture)?;
            alternatives.push(Alternative { architecture, point, known, stage });
        }
        Ok(alternatives)
    }

    /// Networks that were trained for the short schedule and that the full one, as predicted, would bring onto the front.
    fn promising<'a>(
        &mut self,
        problem: &Problem,
        history: &'a History,
        surrogate: &Surrogate,
    ) -> Result<Vec<&'a Evaluation>> {
        let targets = problem.targets();
        let Some(error) = targets.common(Objective::Error) else { return Ok(Vec::new()) };
        let short: Vec<&Evaluation> =
            history.evaluations().iter().filter(|one| one.short_error.is_some() && is_ready(history, one)).collect();
        let points = self.encoder.encode_all(problem, short.iter().map(|one| &one.architecture))?;
        let (prediction, warp) = (surrogate.predict(&points), surrogate.warps()[error]);
        let mut best: Vec<usize> = Vec::new();
        for target in targets.searched() {
            let mut values: Vec<Vec<f64>> = history.archive(target).points().map(<[f64]>::to_vec).collect();
            let members = values.len();
            for (index, one) in short.iter().enumerate() {
                let mut predicted: Vec<Option<f64>> = one.values.clone();
                predicted[error] = Some(warp.inverse(prediction[error].means[index]));
                let predicted =
                    targets.complete(target, &predicted).filter(|_| targets.keeps_bounds(target, &predicted));
                values.push(predicted.unwrap_or_else(|| vec![f64::MAX; targets.places(target).len()]));
            }
            let is_new = |place: &usize| *place >= members && values[*place][0] < f64::MAX;
            let found = non_dominated(&values).into_iter().filter(is_new).map(|place| place - members);
            let found: Vec<usize> = found.filter(|place| !best.contains(place)).collect();
            best.extend(found);
        }
        Ok(best.into_iter().map(|place| short[place]).collect())
    }

    /// Up to `count` new networks of highest expected improvement to be measured. Where they will be trained anyway, each
    /// is believed before the next one is chosen.
    pub(super) fn measurements(&mut self, problem: &Problem, history: &History, count: usize) -> Result<Round> {
        let (surrogate, isomorphic) = self.fit(problem, history, Predicted::All)?;
        let stats = self.update_policy(problem, history, &surrogate, self.config.updates)?;
        let promising = self.promising(problem, history, &surrogate)?;
        let candidates = self.candidates(problem, history, &promising)?;
        let fidelity = problem.fidelity();
        let are_trained = fidelity.measure_ahead == 0 && fidelity.short_epochs == 0;
        // Measured networks that wait for their training count as trained as well.
        let waiting = history.evaluations().iter().filter(|one| are_trained && is_ready(history, one));
        let waiting = waiting.map(|one| (&one.architecture, Some(one), Stage::TrainingFull));
        let others = waiting.chain(candidates.iter().map(|architecture| (architecture, None, Stage::New)));
        let alternatives = self.alternatives(problem, history, others)?;
        let mut choice = Choice::new(history, &surrogate, &isomorphic, alternatives);
        let mut unseen = Unseen::new(problem, history);
        let mut round = Round::new(stats, surrogate.warps());
        let mut networks = 0;
        // The fronts take turns: measuring is cheap, and each needs candidates of its own.
        let fronts: Vec<usize> = problem.targets().searched().collect();
        let has_turns = fronts.len() > 1 && !are_trained;
        while networks < count {
            let front = has_turns.then(|| fronts[networks % fronts.len()]);
            let Some(best) = choice.best(Stage::New, front) else { break };
            let architecture = choice.architecture(best);
            let is_new = unseen.take(architecture)?;
            // The error of another encoding will be the same, its time and energy need not be.
            choice.close(best, is_new && are_trained);
            if !is_new {
                continue;
            }
            let mut forecast = choice.forecast(best);
            round.predict(architecture, &forecast, choice.deviations(best));
            if are_trained {
                choice.believe(best, Stage::TrainingFull);
            } else if let Some(error) = problem.targets().common(Objective::Error) {
                // It is predicted again before a training.
                forecast[error] = None;
            }
            let targets = choice.worthwhile_targets(best);
            round.decide(self, architecture, best.improvement, forecast);
            let measure = |target| WantedJob { architecture: architecture.clone(), work: Work::Measure { target } };
            round.jobs.extend(targets.into_iter().map(measure));
            networks += 1;
        }
        if networks < count {
            let random = unseen.random(count - networks, &mut self.rng)?;
            round.jobs.extend(random.iter().flat_map(|architecture| WantedJob::measurements(problem, architecture)));
        }
        self.diagnose(problem, &mut round);
        Ok(round)
    }

    /// Trainings of measured networks, by expected improvement: up to `full` full ones, each of which is believed; then up
    /// to `short` short ones, which are not on the front.
    pub(super) fn trainings(
        &mut self,
        problem: &Problem,
        history: &History,
        full: usize,
        short: usize,
    ) -> Result<Round> {
        let Fidelity { short_epochs, full_epochs, .. } = problem.fidelity();
        let (surrogate, isomorphic) = self.fit(problem, history, Predicted::Error)?;
        let ready = history.evaluations().iter().filter(|one| is_ready(history, one));
        let stage = |one: &Evaluation| if one.short_error.is_some() { Stage::Short } else { Stage::Measured };
        let others = ready.map(|one| (&one.architecture, Some(one), stage(one)));
        let alternatives = self.alternatives(problem, history, others)?;
        let mut choice = Choice::new(history, &surrogate, &isomorphic, alternatives);
        let mut round = Round::new(None, surrogate.warps());
        let promoted = if short_epochs > 0 { Stage::Short } else { Stage::Measured };
        for (count, from, to, epochs) in [
            (full, promoted, Stage::TrainingFull, full_epochs),
            (short, Stage::Measured, Stage::TrainingShort, short_epochs),
        ] {
            for _ in 0..count {
                let front = self.next_front(problem);
                let Some(best) = choice.best(from, front) else { break };
                let (architecture, forecast) = (choice.architecture(best), choice.forecast(best));
                round.predict(architecture, &forecast, choice.deviations(best));
                choice.believe(best, to);
                choice.close(best, true);
                round.decide(self, architecture, best.improvement, forecast);
                round.jobs.push(WantedJob { architecture: architecture.clone(), work: Work::Train { epochs } });
            }
        }
        self.diagnose(problem, &mut round);
        Ok(round)
    }

    /// The front that the next training is for. Where there are several, every other one is for all; between them the fronts
    /// take turns, so that one that is hard to improve is not left behind.
    fn next_front(&mut self, problem: &Problem) -> Option<usize> {
        let fronts: Vec<usize> = problem.targets().searched().collect();
        if fronts.len() < 2 {
            return None;
        }
        let turn = self.turns;
        self.turns += 1;
        (turn % 2 == 1).then(|| fronts[turn / 2 % fronts.len()])
    }

    /// Adds the quality of earlier predictions to a round's diagnostics.
    fn diagnose(&self, problem: &Problem, round: &mut Round) {
        let mut proposals: Vec<Proposal> = round
            .jobs
            .iter()
            .map(|job| Proposal { architecture: job.architecture.clone(), preference: None })
            .collect();
        // The measurements of one network on several targets follow one another.
        proposals.dedup();
        round.diagnostics.choices = Diagnostics::of_round(problem, &proposals).choices;
        let mut scalars = Vec::new();
        for (index, column) in problem.targets().columns().iter().enumerate() {
            if let Some(correlation) = self.quality.rank_correlation(index) {
                scalars.push((format!("rank_correlation/{}", column.name), correlation));
            }
        }
        scalars.append(&mut round.diagnostics.scalars);
        round.diagnostics.scalars = scalars;
    }
}

impl Round {
    /// Jobs without anything to report.
    pub(super) fn of_jobs(jobs: Vec<WantedJob>) -> Self {
        Self { jobs, diagnostics: Diagnostics::default(), warps: Vec::new() }
    }

    fn new(stats: Option<SimulatedStats>, warps: Vec<Warp>) -> Self {
        let mut diagnostics = Diagnostics::default();
        diagnostics.add("acquisition", 0.0);
        for (name, value) in stats.iter().flat_map(SimulatedStats::scalars) {
            diagnostics.add(name, value);
        }
        Self { jobs: Vec::new(), diagnostics, warps }
    }

    /// Reports what is predicted for a network, in the units of the objectives.
    fn predict(&mut self, architecture: &Architecture, means: &[Option<f64>], deviations: &[f64]) {
        let in_unit = |((mean, deviation), warp): ((&Option<f64>, &f64), &Warp)| {
            let mean = (*mean)?;
            let [low, value, high] = [mean - deviation, mean, mean + deviation].map(|place| warp.inverse(place));
            Some((value, 0.5 * (high - low)))
        };
        let values = means.iter().zip(deviations).zip(&self.warps).map(in_unit).collect();
        self.diagnostics.predictions.push(Prediction { architecture: architecture.clone(), values });
    }

    /// Notes what is expected of a network that was decided on.
    fn decide(
        &mut self,
        strategy: &mut ModelBased,
        architecture: &Architecture,
        improvement: f64,
        forecast: Vec<Option<f64>>,
    ) {
        self.diagnostics.scalars[0].1 += improvement;
        // The scales of later rounds are others.
        let in_unit = |(mean, warp): (Option<f64>, &Warp)| mean.map(|mean| warp.inverse(mean));
        let means = forecast.into_iter().zip(&self.warps).map(in_unit).collect();
        strategy.forecasts.push(Forecast { architecture: architecture.clone(), means });
    }
}
