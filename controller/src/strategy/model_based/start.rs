//! The first networks of a search, before there is a surrogate.

use std::collections::HashSet;

use anyhow::Result;
use child::space::Architecture;
use rand::RngExt;

use super::ModelBased;
use super::stage::{is_ready, pending_trainings};
use crate::history::{Evaluation, History};
use crate::objective::Objective;
use crate::pareto::non_dominated;
use crate::problem::Problem;
use crate::strategy::unseen::Unseen;
use crate::strategy::{Room, WantedJob};

impl ModelBased {
    /// Networks of a start with short trainings, for each one of a start without.
    const SHORT: usize = 4;
    /// Least number of the first full trainings after short ones.
    const FULL: usize = 3;
    /// Share of the short trainings, the better ones, out of which those are chosen.
    const BETTER: f64 = 0.7;
    /// Share of the start that may still be under way then.
    const MISSING: f64 = 0.3;
    /// Architectures drawn to spread the start over the multiply-accumulates of the space, for each network of it.
    const DRAWN: usize = 30;

    /// The next jobs of the start; `None` as soon as the surrogate decides.
    pub(super) fn start(
        &mut self,
        problem: &Problem,
        history: &History,
        room: &Room,
    ) -> Result<Option<Vec<WantedJob>>> {
        let fidelity = problem.fidelity();
        let is_short = fidelity.short_epochs > 0;
        let size = if is_short { Self::SHORT * self.config.start } else { self.config.start.max(room.trainers) };
        // Complete imports replace as many networks of the start: the surrogate is fitted to them as well.
        let spared = history.imported().filter(|evaluation| problem.targets().is_complete(&evaluation.values)).count();
        let begun = spared + begun(history);
        let mut jobs = Vec::new();
        if begun < size {
            let spread = self.spread(problem, history, begun..size)?;
            jobs.extend(spread.iter().flat_map(|architecture| WantedJob::measurements(problem, architecture)));
        }
        let is_over = history.training_set().iter().any(|evaluation| problem.targets().is_complete(&evaluation.values));
        let full = pending_trainings(history, fidelity.full_epochs);
        if is_short {
            let untrained: Vec<&Evaluation> = history
                .evaluations()
                .iter()
                .filter(|one| is_ready(history, one) && one.short_error.is_none())
                .collect();
            if !is_over && !untrained.is_empty() {
                jobs.extend(untrained.into_iter().map(|one| WantedJob::training(one, fidelity.short_epochs)));
            } else if !is_over && full == 0 && jobs.is_empty() {
                let missing = history.pending().len();
                if missing as f64 <= Self::MISSING * size as f64 && room.trainings > 0 {
                    let count = Self::FULL.max(room.trainers);
                    let best = better(history, count);
                    jobs.extend(best.into_iter().map(|one| WantedJob::training(one, fidelity.full_epochs)));
                }
            }
        } else if begun <= size {
            let ready = history.evaluations().iter().filter(|one| is_ready(history, one));
            jobs.extend(ready.map(|one| WantedJob::training(one, fidelity.full_epochs)));
        }
        if jobs.is_empty() && !is_over && history.pending().is_empty() {
            // Only untrained networks were measured on a target that came later.
            let ready = history.evaluations().iter().filter(|one| is_ready(history, one)).take(room.batch.max(1));
            jobs.extend(ready.map(|one| WantedJob::training(one, fidelity.full_epochs)));
        }
        if jobs.is_empty() && !is_over && history.pending().is_empty() {
            // Everything so far has failed, or is beyond the bounds.
            let next = Unseen::new(problem, history).nearer_bounds(room.batch.max(1), &mut self.rng)?;
            jobs.extend(next.iter().flat_map(|architecture| WantedJob::measurements(problem, architecture)));
        }
        Ok((!jobs.is_empty() || !is_over).then_some(jobs))
    }

    /// New networks, spread over the multiply-accumulates of the space: the start has as many equal parts as networks, and
    /// each network is drawn from a different part.
    fn spread(
        &mut self,
        problem: &Problem,
        history: &History,
        parts: std::ops::Range<usize>,
    ) -> Result<Vec<Architecture>> {
        let size = parts.end;
        let drawn_count = Self::DRAWN * size;
        let mut drawn = Vec::with_capacity(drawn_count);
        let available: Option<Vec<&Architecture>> = problem.available().map(|available| available.iter().collect());
        for _ in 0..drawn_count {
            let architecture = match available.as_deref() {
                Some([]) => break,
                Some(available) => available[self.rng.random_range(0..available.len())].clone(),
                None => problem.space().random(&mut self.rng),
            };
            let graph = problem.graph(&architecture)?;
            drawn.push((graph.pruned().cost().macs, architecture));
        }
        drawn.sort_by_key(|(macs, _)| *macs);
        // Every other part first, so that half a start is spread as well.
        let order = (0..size).step_by(2).chain((1..size).step_by(2)).skip(parts.start);
        let mut unseen = Unseen::new(problem, history);
        let mut found = Vec::new();
        for part in order {
            let (from, to) = (part * drawn.len() / size, (part + 1) * drawn.len() / size);
            for _ in from..to {
                let (_, architecture) = &drawn[self.rng.random_range(from..to)];
                if unseen.take(architecture)? {
                    found.push(architecture.clone());
                    break;
                }
            }
        }
        let missing = parts.len() - found.len();
        found.extend(unseen.random(missing, &mut self.rng)?);
        Ok(found)
    }
}

/// Networks that were begun.
fn begun(history: &History) -> usize {
    let pending = history.pending().iter().filter(|job| history.known(&job.candidate.key).is_none());
    history.evaluations().len() + pending.map(|job| job.number).collect::<HashSet<_>>().len()
}

/// Up to `count` networks for full trainings out of the better ones by short error: not dominated, and spread over their
/// errors.
fn better(history: &History, count: usize) -> Vec<&Evaluation> {
    let error = history.targets().common(Objective::Error);
    let mut left: Vec<(&Evaluation, f64)> = history
        .evaluations()
        .iter()
        .filter(|one| is_ready(history, one))
        .filter_map(|one| Some((one, one.short_error?)))
        .collect();
    left.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    left.truncate(((left.len() as f64 * ModelBased::BETTER) as usize).max(count));
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let points: Vec<Vec<f64>> = left
            .iter()
            .map(|(one, short)| {
                let values = one.values.iter().enumerate();
                values
                    .map(|(index, value)| if Some(index) == error { *short } else { value.unwrap_or(f64::MAX) })
                    .collect()
            })
            .collect();
        let mut front = non_dominated(&points);
        front.sort_unstable();
        let missing = count - chosen.len();
        let spread = |place: usize| place * (front.len() - 1) / missing.max(2).saturating_sub(1);
        let places: Vec<usize> = if front.len() <= missing {
            front.clone()
        } else {
            (0..missing).map(|place| front[spread(place)]).collect()
        };
        chosen.extend(places.iter().map(|place| left[*place].0));
        let mut place = 0;
        left.retain(|_| {
            place += 1;
            !front.contains(&(place - 1))
        });
    }
    chosen
}
