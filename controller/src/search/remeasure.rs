//! Measuring the front again after the search itself.

use super::rows::Next;
use super::{Search, State};
use crate::history::{Candidate, Evaluation, History, Job, Status, Work};
use crate::pareto::noise::lead;

impl Search {
    /// Spends the re-measurements on members of the front. Returns false if the search was stopped before.
    ///
    /// One measurement at a time, also with several devices: each may change the next member, and the journal alone must
    /// determine it.
    pub(super) async fn remeasure(&mut self, state: &mut State) -> anyhow::Result<bool> {
        loop {
            if self.stop.asked() {
                return Ok(false);
            }
            if state.history.repeats() >= self.plan.remeasure {
                return Ok(true);
            }
            // The targets take turns; one without a front is passed over.
            let targets: Vec<usize> = self.problem.targets().searched().collect();
            let turns =
                (0..targets.len()).map(|turn| targets[(state.history.repeats() as usize + turn) % targets.len()]);
            let doubtful = turns.filter_map(|target| Some((target, most_doubtful(&state.history, target)?))).next();
            let Some((target, member)) = doubtful else { return Ok(true) };
            let text = self.problem.space().format(&member.architecture)?;
            let job = Job { number: state.history.next_number(), candidate: member, work: Work::Measure { target } };
            state.history.begin(job.clone());
            self.workers.begin(job, text, None);
            let mut next = self.next(state).await?;
            while next == Some(Next::Capacity) {
                next = self.next(state).await?;
            }
            if next != Some(Next::Entered) {
                return Ok(false);
            }
            self.save(state)?;
        }
    }
}

/// The member of a target's front to measure next: of those measured least often, the one with the least certain place on the
/// front. `None` if the front has no successful evaluation.
///
/// Members that break a bound are left out, unless all do. Failed measurements count too, or a network that a device can
/// no longer run would take all of them.
fn most_doubtful(history: &History, target: usize) -> Option<Candidate> {
    let members = history.front_of(target).filter(|evaluation| evaluation.status == Status::Ok);
    let mut members: Vec<&Evaluation> = members.collect();
    let is_feasible = |member: &&Evaluation| history.targets().keeps_bounds(target, &member.values);
    if members.iter().any(is_feasible) {
        members.retain(is_feasible);
    }
    // Where there are several targets, each has its own.
    let times =
        |member: &Evaluation| history.measurements(&member.key).iter().filter(|one| one.is_tried_on(target)).count();
    let least = members.iter().map(|member| times(member)).min()?;
    let ranked = members.into_iter().filter(|member| times(member) == least);
    let ranked = ranked.map(|member| (certainty(history, target, member), member));
    // Of equally certain members the first evaluated one.
    let (_, member) = ranked.min_by(|(a, first), (b, second)| a.total_cmp(b).then(first.number.cmp(&second.number)))?;
    Some(Candidate { architecture: member.architecture.clone(), key: member.key })
}

/// The smallest lead of a member over any other evaluation, in standard deviations of the difference: a member with a
/// small lead may not belong on the front.
fn certainty(history: &History, target: usize, member: &Evaluation) -> f64 {
    let uncertain = |evaluation: &Evaluation| evaluation.on(history.targets(), target).uncertain();
    let Some(own) = uncertain(member) else { return f64::INFINITY };
    let others = history.evaluations().iter().filter(|other| other.key != member.key);
    others.filter_map(uncertain).map(|other| lead(&own, &other)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Bounds, Objective, Objectives};
    use crate::strategy::toy;

    /// Networks 0, 1, … by error and time, each time with a deviation of 0.5.
    fn history(points: &[(f64, f64)], bound: f64) -> History {
        let objectives = Objectives::new([Objective::Error, Objective::Time]).unwrap();
        let mut history = History::new(objectives, Bounds::new([(Objective::Error, bound)]).unwrap());
        for (network, (error, time)) in points.iter().enumerate() {
            push(&mut history, network, Some(*error), *time);
        }
        history
    }

    fn push(history: &mut History, network: usize, error: Option<f64>, time: f64) {
        let first = toy::evaluation(history.entered(), network, vec![error, Some(time)]);
        history.push(Evaluation { deviations: vec![None, Some(0.5)], ..first }).unwrap();
    }

    fn next(history: &History) -> Option<usize> {
        most_doubtful(history, 0).map(|member| member.architecture.choices()[0])
    }

    #[test]
    fn least_measured_members_come_first_then_the_least_certain() {
        // Network 1 leads network 0 by 1 ms and network 2 network 1 by 5 ms; network 3 is dominated.
        let mut history = history(&[(0.1, 9.0), (0.2, 8.0), (0.3, 3.0), (0.4, 9.5)], 0.9);
        assert_eq!(next(&history), Some(1));
        push(&mut history, 1, None, 8.0);
        assert_eq!(next(&history), Some(2));
        // One that fails was tried all the same.
        let failed = toy::evaluation(history.entered(), 2, vec![None, None]);
        history.push(Evaluation { status: Status::Failed, ..failed }).unwrap();
        assert_eq!(next(&history), Some(0));
        push(&mut history, 0, None, 9.0);
        assert!(next(&history).is_some(), "a second turn begins");
    }

    #[test]
    fn members_beyond_a_bound_are_measured_only_if_all_are() {
        let points = [(0.1, 9.0), (0.2, 8.0), (0.3, 3.0)];
        let order = |bound| {
            let mut history = history(&points, bound);
            let mut measured = Vec::new();
            for _ in 0..3 {
                let network = next(&history).unwrap();
                measured.push(network);
                // A little off, so that the spread of two is not 0.
                push(&mut history, network, None, points[network].1 + 1.0);
            }
            measured
        };
        assert_eq!(order(0.25), [1, 0, 1]);
        assert_eq!(order(0.05), [1, 2, 0]);
        assert_eq!(next(&history(&[], 0.5)), None);
    }
}
