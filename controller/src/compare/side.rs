//! One of the two searches that are compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hardware::log::Row;

use crate::config::Experiment;
use crate::evaluate::{ReplayConfig, Replayed};
use crate::objective::Objectives;
use crate::run::Recorded;

/// A search on one device: a run, or a log of measurements.
pub struct Side {
    /// The run's folder, or the log.
    pub path: PathBuf,
    /// The experiment, objectives and input filled in.
    pub experiment: Experiment,
    pub objectives: Objectives,
    /// Every evaluation, in order.
    pub rows: Vec<Row>,
    /// Planned evaluations of a run; `None` for a log.
    pub budget: Option<u64>,
    /// The log that a run replayed.
    pub(super) replayed: Option<Replayed>,
}

impl Side {
    /// Reads a run folder, also during its search; returns a notice if the replayed log cannot be read any more.
    pub fn of_run(path: &Path, target: Option<&str>) -> anyhow::Result<(Self, Option<String>)> {
        let recorded = Recorded::read(path)?;
        // The other run may have several.
        let target = target.filter(|_| recorded.problem.targets().are_several());
        let recorded = recorded.of_one_target(target).with_context(|| path.display().to_string())?;
        let mut rows = recorded.evaluations();
        // Networks that were measured alone, or trained short, are on no front.
        rows.retain(|row| row.status.is_end());
        let Recorded { experiment, problem, .. } = recorded;
        let opened = experiment.replay.as_ref().map(|replay| Replayed::open(replay, problem.space()));
        let (replayed, notice) = match opened.transpose() {
            Ok(replayed) => (replayed, None),
            Err(error) => {
                let notice = format!("{}: only its journal is used, because {error}", path.display());
                (None, Some(notice))
            }
        };
        let evaluations = experiment.search.budget().evaluations;
        let budget = evaluations.map(|evaluations| evaluations + experiment.search.remeasure);
        let objectives = problem.objectives().clone();
        Ok((Self { path: path.to_owned(), experiment, objectives, rows, budget, replayed }, notice))
    }

    /// Reads a log: every row is an evaluation. Space, columns and bounds are those of the experiment.
    ///
    /// # Errors
    /// With file, line and column, if the file is not such a log.
    pub fn of_log(path: &Path, mut experiment: Experiment) -> anyhow::Result<Self> {
        let columns = experiment.replay.take().map(|replay| replay.columns).unwrap_or_default();
        let replay = ReplayConfig { log: path.to_owned(), columns, workers: 1, speed: None };
        let space = experiment.space.build()?;
        let log = Replayed::open(&replay, space.as_ref())?;
        let objectives = match experiment.search.objectives.take() {
            Some(objectives) => objectives,
            None => Objectives::new(log.measured(0)).with_context(|| {
                format!("{}: name the columns of accuracy, time and energy in [replay.columns]", path.display())
            })?,
        };
        let rows = (0..).zip(log.table().rows()).map(|(evaluation, row)| Row { evaluation, ..row.clone() }).collect();
        experiment.search.objectives = Some(objectives.clone());
        experiment.input.get_or_insert_default();
        experiment.replay = Some(replay);
        // All values of the log are among the rows already.
        Ok(Self { path: path.to_owned(), experiment, objectives, rows, budget: None, replayed: None })
    }

    /// The devices of its evaluations, as the journal names them.
    pub fn devices(&self) -> BTreeSet<&str> {
        self.rows.iter().filter_map(|row| row.device.as_deref()).filter(|device| !device.is_empty()).collect()
    }

    /// Whether its device can measure more networks: not where a log answered in place of the device.
    pub fn has_device(&self) -> bool {
        self.experiment.replay.is_none()
    }
}
