//! One row for each evaluation of a journal whose evaluations have a row for each job.

use std::collections::{BTreeMap, HashMap};

use super::{Row, Status};

/// The rows of one evaluation as one: what was measured, and what the full training came to.
///
/// A journal has a row for each job that was done to a network: measured, trained for a few epochs, trained in full. A
/// journal whose rows hold both joins to its own rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The evaluation. Its accuracy and epochs are those of the full training, its time of training is that of all.
    pub row: Row,
    /// The result of the short training, if there was one.
    pub short: Option<ShortTraining>,
    /// By target, the row that measured the network there. `row` has no measurement then: its status is `measured` until the
    /// network is trained, however its measurements ended.
    pub measured: BTreeMap<String, Row>,
}

/// The result of a training for a part of the epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShortTraining {
    /// Its epochs.
    pub epochs: u64,
    /// The accuracy that it reached, 0 to 1.
    pub accuracy: f64,
}

impl Joined {
    /// An evaluation from its first row. A training of up to `short_epochs` epochs is a short one.
    pub fn new(row: Row, short_epochs: u64) -> Self {
        let measured = BTreeMap::new();
        if let Some(target) = &row.target {
            let status = if row.status == Status::Ok { Status::Ok } else { Status::Measured };
            let unmeasured =
                Row { started_at: row.started_at.clone(), ..Row::new(row.evaluation, &row.architecture, status) };
            return Self { row: unmeasured, short: None, measured: BTreeMap::from([(target.clone(), row)]) };
        }
        match short(&row, short_epochs) {
            None => Self { row, short: None, measured },
            short => {
                Self { row: Row { accuracy: None, epochs: None, status: Status::Measured, ..row }, short, measured }
            }
        }
    }

    /// Adds a later row of the same evaluation: its values take the place of earlier ones.
    pub fn add(&mut self, later: Row, short_epochs: u64) {
        if let Some(target) = &later.target {
            self.measured.insert(target.clone(), later);
            return;
        }
        let short = short(&later, short_epochs);
        let row = &mut self.row;
        let train_seconds = [row.train_seconds, later.train_seconds].into_iter().flatten().reduce(|a, b| a + b);
        if short.is_some() {
            self.short = short;
        } else {
            // A network that is trained may be measured later, on a target that was not there before.
            let is_trained = row.status == Status::Ok && row.accuracy.is_some() && later.accuracy.is_none();
            row.status = if is_trained { Status::Ok } else { later.status };
            row.accuracy = later.accuracy.or(row.accuracy);
            row.epochs = later.epochs.or(row.epochs);
        }
        row.train_seconds = train_seconds;
        row.trainer = later.trainer.or(row.trainer.take());
        // A failed training says why before what the measurement warned of.
        let messages: Vec<String> = later.message.into_iter().chain(row.message.take()).collect();
        row.message = (!messages.is_empty()).then(|| messages.join("; "));
        if later.time_ms.is_some() || later.energy_mj.is_some() {
            row.time_ms = later.time_ms;
            row.time_ms_std = later.time_ms_std;
            row.time_ms_p50 = later.time_ms_p50;
            row.time_ms_p95 = later.time_ms_p95;
            row.time_ms_p99 = later.time_ms_p99;
            row.time_runs = later.time_runs;
            row.energy_mj = later.energy_mj;
            row.energy_mj_std = later.energy_mj_std;
            row.power_samples = later.power_samples;
            row.idle_power_mw = later.idle_power_mw;
            row.device = later.device;
            row.measure_seconds = later.measure_seconds;
        }
    }
}

fn short(row: &Row, short_epochs: u64) -> Option<ShortTraining> {
    let (accuracy, epochs) = (row.accuracy?, row.epochs?);
    (row.status == Status::Ok && epochs <= short_epochs).then_some(ShortTraining { epochs, accuracy })
}

/// The rows of a search for several targets that concern one of them: its measurements and all trainings, as rows of a search
/// for this target alone.
pub fn of_target(rows: impl IntoIterator<Item = Row>, target: &str) -> Vec<Row> {
    let concerns = |row: &Row| row.target.as_deref().is_none_or(|other| other == target);
    rows.into_iter().filter(concerns).map(|row| Row { target: None, ..row }).collect()
}

/// The evaluations of a journal in the order of their first rows. A training of up to `short_epochs` epochs is a short
/// one; 0 where the journal has none.
pub fn join(rows: impl IntoIterator<Item = Row>, short_epochs: u64) -> Vec<Joined> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut joined: Vec<Joined> = Vec::new();
    for row in rows {
        let place = *places.entry(row.evaluation).or_insert(joined.len());
        match joined.get_mut(place) {
            Some(evaluation) => evaluation.add(row, short_epochs),
            None => joined.push(Joined::new(row, short_epochs)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(evaluation: u64, status: Status) -> Row {
        Row::new(evaluation, format!("a{evaluation}"), status)
    }

    fn measured(evaluation: u64) -> Row {
        let message = Some("hot".to_owned());
        Row { time_ms: Some(2.0), measure_seconds: Some(9.0), message, ..row(evaluation, Status::Measured) }
    }

    fn trained(evaluation: u64, epochs: u64, accuracy: f64) -> Row {
        let (accuracy, epochs, train_seconds) = (Some(accuracy), Some(epochs), Some(epochs as f64));
        Row { accuracy, epochs, train_seconds, ..row(evaluation, Status::Ok) }
    }

    #[test]
    fn jobs_of_an_evaluation_join_to_the_row_of_one_that_was_done_at_once() {
        let rows = [measured(0), measured(1), trained(1, 2, 0.5), trained(1, 20, 0.75), trained(0, 2, 0.25)];
        let joined = join(rows, 2);
        let whole = Row { train_seconds: Some(22.0), status: Status::Ok, ..trained(1, 20, 0.75) };
        let whole = Row { time_ms: Some(2.0), measure_seconds: Some(9.0), message: Some("hot".to_owned()), ..whole };
        let short = Some(ShortTraining { epochs: 2, accuracy: 0.5 });
        assert_eq!(joined[1], Joined { row: whole, short, measured: BTreeMap::new() });
        let short = Some(ShortTraining { epochs: 2, accuracy: 0.25 });
        assert_eq!((joined[0].row.status, joined[0].row.accuracy, joined[0].short), (Status::Measured, None, short));
        assert_eq!(joined[0].row.time_ms, Some(2.0));
    }

    #[test]
    fn a_failed_job_ends_the_evaluation_with_what_was_measured_before() {
        let diverged = Row { message: Some("the loss".to_owned()), epochs: Some(3), ..row(0, Status::Diverged) };
        let joined = &join([measured(0), diverged], 2)[0].row;
        assert_eq!((joined.status, joined.time_ms, joined.epochs), (Status::Diverged, Some(2.0), Some(3)));
        assert_eq!(joined.message.as_deref(), Some("the loss; hot"));
    }

    #[test]
    fn a_network_that_is_measured_after_its_training_is_trained() {
        let joined = &join([trained(0, 20, 0.75), measured(0)], 0)[0].row;
        assert_eq!((joined.status, joined.accuracy, joined.time_ms), (Status::Ok, Some(0.75), Some(2.0)));
    }

    #[test]
    fn measurements_on_several_targets_stay_apart() {
        let on = |target: &str, row: Row| Row { target: Some(target.to_owned()), ..row };
        let slow = Row { time_ms: Some(7.0), ..row(0, Status::Bounded) };
        let joined = join([on("a", measured(0)), on("b", slow.clone()), trained(0, 20, 0.75)], 2).remove(0);
        assert_eq!((joined.row.status, joined.row.accuracy, joined.row.time_ms), (Status::Ok, Some(0.75), None));
        assert_eq!(joined.measured["a"], on("a", measured(0)));
        assert_eq!(joined.measured["b"], on("b", slow));
        let unmeasured = join([on("a", row(0, Status::Failed))], 0).remove(0);
        assert_eq!(unmeasured.row.status, Status::Measured);
    }

    #[test]
    fn rows_of_whole_evaluations_stay_as_they_are() {
        let rows = [trained(0, 20, 0.5), Row { time_ms: Some(1.0), ..row(1, Status::Bounded) }];
        let joined: Vec<Row> = join(rows.clone(), 0).into_iter().map(|joined| joined.row).collect();
        assert_eq!(joined, rows);
    }
}
