//! The workers of a cluster, by what they report of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::message::{Kind, Presence, Standing};
use crate::evaluate::{Capacity, WorkerState};

/// The workers with a recent report, as one run sees them.
///
/// Times are those of this machine: the clocks of workers may be off.
#[derive(Debug)]
pub(crate) struct Roster {
    run: String,
    /// Time without a report after which a worker counts as gone.
    silence: Duration,
    workers: BTreeMap<String, (Presence, Instant)>,
    /// The machines of workers that left or fell silent, and when each reported last.
    away: BTreeMap<String, (String, Instant)>,
    /// What the user was shown of each.
    shown: BTreeMap<String, String>,
}

impl Roster {
    pub fn new(run: String, silence: Duration) -> Self {
        Self { run, silence, workers: BTreeMap::new(), away: BTreeMap::new(), shown: BTreeMap::new() }
    }

    /// Notes a report. Returns a line for the user where something has changed for this run.
    pub fn receive(&mut self, worker: &str, presence: Presence) -> Option<String> {
        let said = match (&presence.leaving, presence.runs.get(&self.run)) {
            (Some(reason), _) if reason.is_empty() => "has left".to_owned(),
            (Some(reason), _) => format!("has left: {reason}"),
            (None, Some(Standing::Ready { measures, trains, note })) => {
                let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                format!("takes jobs: {}{note}", at_a_time(*measures, *trains))
            }
            (None, Some(Standing::Refused(reason))) => format!("does not take part: {reason}"),
            (None, Some(Standing::Preparing) | None) => String::new(),
        };
        let line = self.line(worker, &presence.machine, said);
        if presence.leaving.is_some() {
            self.workers.remove(worker);
            self.note_away(worker, presence.machine, Instant::now());
        } else {
            self.away.remove(worker);
            self.workers.insert(worker.to_owned(), (presence, Instant::now()));
        }
        line
    }

    /// Forgets the workers that have been silent for too long. Returns lines for the user.
    pub fn forget_silent(&mut self) -> Vec<String> {
        let silent: BTreeSet<String> = self
            .workers
            .iter()
            .filter(|(_, (_, reported))| reported.elapsed() > self.silence)
            .map(|(worker, _)| worker.clone())
            .collect();
        let mut lines = Vec::new();
        for worker in silent {
            let Some((presence, reported)) = self.workers.remove(&worker) else { continue };
            let said = format!("is silent since {} s: its jobs are given to others", reported.elapsed().as_secs());
            lines.extend(self.line(&worker, &presence.machine, said));
            self.note_away(&worker, presence.machine, reported);
        }
        lines
    }

    fn note_away(&mut self, worker: &str, machine: String, reported: Instant) {
        // Workers come and go for days.
        const MOST: usize = 20;
        self.away.insert(worker.to_owned(), (machine, reported));
        if self.away.len() > MOST {
            let oldest = self.away.iter().min_by_key(|(_, (_, reported))| *reported).map(|(worker, _)| worker.clone());
            oldest.map(|worker| self.away.remove(&worker));
        }
    }

    /// The state of each worker, with those that are away.
    pub fn states(&self) -> Vec<WorkerState> {
        let present = self.workers.iter().map(|(worker, (presence, _))| {
            let jobs = presence.measuring + presence.training;
            let (state, text) = match presence.runs.get(&self.run) {
                Some(Standing::Ready { note, .. }) => (if jobs > 0 { "busy" } else { "waiting" }, note.clone()),
                Some(Standing::Refused(reason)) => ("refused", Some(reason.clone())),
                Some(Standing::Preparing) | None => ("preparing", None),
            };
            let name = format!("{worker} on {}", presence.machine);
            WorkerState { name, state: state.to_owned(), jobs, text }
        });
        let away = self.away.iter().map(|(worker, (machine, reported))| WorkerState {
            name: format!("{worker} on {machine}"),
            state: "away".to_owned(),
            jobs: 0,
            text: Some(format!("last report {} s ago", reported.elapsed().as_secs())),
        });
        present.chain(away).collect()
    }

    /// A line about a worker, unless it says what was said before.
    fn line(&mut self, worker: &str, machine: &str, said: String) -> Option<String> {
        if said.is_empty() || self.shown.get(worker) == Some(&said) {
            return None;
        }
        let line = format!("worker {worker} on {machine} {said}");
        self.shown.insert(worker.to_owned(), said);
        Some(line)
    }

    fn places(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.workers.iter().filter_map(|(worker, (presence, _))| match presence.runs.get(&self.run) {
            Some(Standing::Ready { measures, trains, .. }) => Some((worker.as_str(), *measures, *trains)),
            _ => None,
        })
    }

    /// How many jobs the workers of this run can do at a time.
    pub fn capacity(&self) -> Capacity {
        let (mut measurements, mut trainings) = (0, 0);
        for (_, measures, trains) in self.places() {
            (measurements, trainings) = (measurements + measures, trainings + trains);
        }
        Capacity { measurements, trainings, together: measurements + trainings }
    }

    /// Number of workers that take this run's jobs.
    pub fn count(&self) -> usize {
        self.places().count()
    }

    /// Whether a worker other than these takes jobs of a kind.
    pub fn has_other(&self, kind: Kind, than: &[String]) -> bool {
        self.places().any(|(worker, measures, trains)| {
            let places = if kind == Kind::Measure { measures } else { trains };
            places > 0 && than.iter().all(|other| other != worker)
        })
    }

    /// The workers with a recent report.
    pub fn workers(&self) -> impl Iterator<Item = &Presence> {
        self.workers.values().map(|(presence, _)| presence)
    }
}

/// Such as `1 measurement and 2 trainings at a time`.
pub(crate) fn at_a_time(measures: usize, trains: usize) -> String {
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let parts: Vec<String> =
        [count(measures, "measurement"), count(trains, "training")].into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { format!("{} at a time", parts.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(standing: Option<Standing>) -> Presence {
        Presence {
            machine: "lab".to_owned(),
            version: String::new(),
            backend: String::new(),
            device: None,
            measures: 1,
            trains: 2,
            measuring: 0,
            training: 0,
            for_s: 0.0,
            done: 0,
            failed: 0,
            runs: standing.into_iter().map(|standing| ("r".to_owned(), standing)).collect(),
            leaving: None,
        }
    }

    fn ready(measures: usize, trains: usize) -> Option<Standing> {
        Some(Standing::Ready { measures, trains, note: None })
    }

    #[test]
    fn only_workers_that_take_the_run_count_and_each_change_is_shown_once() {
        let mut roster = Roster::new("r".to_owned(), Duration::from_secs(60));
        assert_eq!(roster.receive("a", presence(None)), None);
        assert_eq!(roster.capacity().together, 0);
        let line = roster.receive("a", presence(ready(1, 2))).unwrap();
        assert_eq!(line, "worker a on lab takes jobs: 1 measurement and 2 trainings at a time");
        assert_eq!(roster.receive("a", presence(ready(1, 2))), None);
        roster.receive("b", presence(ready(0, 1)));
        roster.receive("c", presence(Some(Standing::Refused("its version is 0.0.9".to_owned()))));
        assert_eq!(roster.capacity(), Capacity { measurements: 1, trainings: 3, together: 4 });
        assert!(
            roster.has_other(Kind::Train, &["a".to_owned()]) && !roster.has_other(Kind::Measure, &["a".to_owned()])
        );
        let leaves = Presence { leaving: Some("the board is away".to_owned()), ..presence(None) };
        assert_eq!(roster.receive("a", leaves).unwrap(), "worker a on lab has left: the board is away");
        assert_eq!(roster.capacity().measurements, 0);
    }

    #[test]
    fn a_silent_worker_is_forgotten_and_comes_back() {
        let mut roster = Roster::new("r".to_owned(), Duration::ZERO);
        roster.receive("a", presence(ready(1, 0)));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(roster.states()[0].state, "waiting");
        assert!(roster.forget_silent()[0].contains("silent since 0 s"));
        assert_eq!(roster.capacity().together, 0);
        let away = WorkerState {
            name: "a on lab".to_owned(),
            state: "away".to_owned(),
            jobs: 0,
            text: Some("last report 0 s ago".to_owned()),
        };
        assert_eq!(roster.states(), [away]);
        assert!(roster.receive("a", presence(ready(1, 0))).is_some());
    }
}
