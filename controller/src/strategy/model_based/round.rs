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
    fn fit(
        &mut self,
        problem: &Problem,
        history: &History,
        predicted: Predicted,
    ) -> Result<(Surrogate, IsomorphicErrors)> {
        let known = history.training_subset(self.config.fitted);
        let points = self.encoder.encode_all(problem, known.iter().map(|evaluation| &evaluation.architecture))?;
        let (objectives, start, steps) = (history.objectives(), &self.hyperparameters, self.config.fitting);
        let surrogate = Surrogate::fit(objectives, &known, &points, predicted, start, steps, &mut self.rng)?;
        self.hyperparameters = surrogate.hyperparameters();
        let isomorphic = IsomorphicErrors::new(objectives, &known, &points, &surrogate);
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
        let Some(error) = problem.objectives().position(Objective::Error) else { return Ok(Vec::new()) };
        let short: Vec<&Evaluation> =
            history.evaluations().iter().filter(|one| one.short_error.is_some() && is_ready(history, one)).collect();
        let points = self.encoder.encode_all(problem, short.iter().map(|one| &one.architecture))?;
        let (prediction, warp) = (surrogate.predict(&points), surrogate.warps()[error]);
        let mut values: Vec<Vec<f64>> = history.archive.points().map(<[f64]>::to_vec).collect();
        let members = values.len();
        for (index, one) in short.iter().enumerate() {
            let mut predicted: Vec<Option<f64>> = one.values.clone();
            predicted[error] = Some(warp.inverse(prediction[error].means[index]));
            let is_kept = problem.bounds().are_kept(problem.objectives(), &predicted);
            values.push(predicted.into_iter().map(|value| value.filter(|_| is_kept).unwrap_or(f64::MAX)).collect());
        }
        let best =
            non_dominated(&values).into_iter().filter(|place| *place >= members && values[*place][error] < f64::MAX);
        Ok(best.map(|place| short[place - members]).collect())
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
        while round.jobs.len() < count {
            let Some(best) = choice.best(Stage::New) else { break };
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
            } else if let Some(error) = problem.objectives().position(Objective::Error) {
                // It is predicted again before a training.
                forecast[error] = None;
            }
            round.push(self, architecture, Work::Measure, best.improvement, forecast);
        }
        if round.jobs.len() < count {
            let random = unseen.random(count - round.jobs.len(), &mut self.rng)?;
            let random = random.into_iter().map(|architecture| WantedJob { architecture, work: Work::Measure });
            round.jobs.extend(random);
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
                let Some(best) = choice.best(from) else { break };
                let (architecture, forecast) = (choice.architecture(best), choice.forecast(best));
                round.predict(architecture, &forecast, choice.deviations(best));
                choice.believe(best, to);
                choice.close(best, true);
                round.push(self, architecture, Work::Train { epochs }, best.improvement, forecast);
            }
        }
        self.diagnose(problem, &mut round);
        Ok(round)
    }

    /// Adds the quality of earlier predictions to a round's diagnostics.
    fn diagnose(&self, problem: &Problem, round: &mut Round) {
        let proposals: Vec<Proposal> = round
            .jobs
            .iter()
            .map(|job| Proposal { architecture: job.architecture.clone(), preference: None })
            .collect();
        round.diagnostics.choices = Diagnostics::of_round(problem, &proposals).choices;
        let mut scalars = Vec::new();
        for (index, objective) in problem.objectives().iter().enumerate() {
            if let Some(correlation) = self.quality.rank_correlation(index) {
                scalars.push((format!("rank_correlation/{objective}"), correlation));
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

    fn push(
        &mut self,
        strategy: &mut ModelBased,
        architecture: &Architecture,
        work: Work,
        improvement: f64,
        forecast: Vec<Option<f64>>,
    ) {
        self.diagnostics.scalars[0].1 += improvement;
        strategy.forecasts.push(Forecast { architecture: architecture.clone(), means: forecast });
        self.jobs.push(WantedJob { architecture: architecture.clone(), work });
    }
}
