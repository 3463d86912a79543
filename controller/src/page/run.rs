//! One run of a page's document.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hardware::log::{Joined, Row};
use serde_json::{Map, Value, json};

use super::details::details;
use super::effects::effects;
use super::networks::{Networks, short};
use super::observed::{MJ_IN_A_KWH, Observed};
use super::{document, html};
use crate::compare::several;
use crate::config::Experiment;
use crate::observe::Status;
use crate::problem::Problem;
use crate::report::{Followed, Summary, data_set};
use crate::run::{Imported, OBSERVATIONS, Recorded, STATUS};
use crate::study::Study;

/// Most bytes of the layers in a page, and of its learning curves.
const ROOM: usize = 700_000;

/// A run as it was read before.
pub(crate) struct Before {
    experiment: Arc<Experiment>,
    /// By target.
    followed: Vec<Followed>,
    observed: Arc<Observed>,
}

/// A run, read from its folder.
pub(crate) struct RunPage {
    folder: PathBuf,
    /// The target, of a search that has several.
    target: Option<String>,
    /// The experiment of all targets.
    whole: Arc<Experiment>,
    experiment: Experiment,
    problem: Problem,
    followed: Followed,
    summary: Summary,
    observed: Arc<Observed>,
    status: Option<Status>,
    /// The study of the fronts of all targets, where there are several.
    study: Option<Arc<Value>>,
}

impl RunPage {
    /// Reads a run folder, also during its search, for each target; nothing in it is changed.
    ///
    /// # Errors
    /// If it is not a run folder, or its journal is damaged.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        Self::read_after(folder, None)
    }

    /// The same with what was read of it before: then only what is new is read in full.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_after(folder: &Path, before: Option<Before>) -> Result<Vec<Self>> {
        let recorded = Recorded::read(folder)?;
        let whole = Arc::new(recorded.experiment.clone());
        let (mut followed, mut observed) = match before.filter(|before| *before.experiment == *whole) {
            Some(before) => (before.followed, Arc::unwrap_or_clone(before.observed)),
            None => (Vec::new(), Observed::default()),
        };
        observed.follow(&folder.join(OBSERVATIONS));
        let (observed, status) = (Arc::new(observed), Status::read(&folder.join(STATUS)));
        let mut study = None;
        if recorded.problem.targets().are_several() {
            study = Some(Arc::new(serde_json::to_value(Study::of(&recorded)?)?));
        }
        let by_target = recorded.by_target()?;
        if followed.is_empty() {
            followed = by_target.iter().map(|(_, run)| Followed::new(&run.problem)).collect();
        }
        let mut pages = Vec::new();
        for ((target, Recorded { experiment, problem, rows }), mut followed) in by_target.into_iter().zip(followed) {
            followed.enter(&problem, rows)?;
            let notes = experiment.reservations();
            let summary = Summary { notes, ..followed.summary(&problem).with_models(folder) };
            let (folder, whole) = (folder.to_owned(), Arc::clone(&whole));
            let (observed, status, study) = (Arc::clone(&observed), status.clone(), study.clone());
            pages.push(Self { folder, target, whole, experiment, problem, followed, summary, observed, status, study });
        }
        Ok(pages)
    }

    /// What the next reading goes on from.
    pub fn into_before(pages: Vec<Self>) -> Option<Before> {
        let first = pages.first()?;
        let (experiment, observed) = (Arc::clone(&first.whole), Arc::clone(&first.observed));
        Some(Before { experiment, observed, followed: pages.into_iter().map(|page| page.followed).collect() })
    }

    /// Its part of the document. A live page asks for the layers of a network when it is opened, and gets the main effects
    /// of the decisions [separately](Self::effects): both take long.
    ///
    /// # Errors
    /// If a network of the journal is not of the space.
    pub fn value(&self, is_live: bool) -> Result<Value> {
        let mut run = self.summary.to_json();
        let joined = self.followed.joined.as_slice();
        let imported: Vec<Row> = Imported::read(&self.folder)?.into_iter().map(|import| import.row).collect();
        let Networks { columns, statuses, devices, messages } = Networks::of(&self.problem, joined, &imported)?;
        let name = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let mut name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.extend(self.target.iter().map(|target| format!(" on {target}")));
        let space = self.problem.space();
        let decisions: Vec<Value> = space
            .decisions()
            .iter()
            .map(|decision| json!({ "name": decision.name, "choices": decision.choices }))
            .collect();
        let (details, curves) = self.networks(joined, is_live);
        let more = json!({
            "name": name,
            "folder": self.folder.display().to_string(),
            "target": self.target,
            "study": self.study.as_deref(),
            "state": self.state(),
            "bounds": self.problem.bounds(),
            "space": { "name": space.name(), "pieces": space.pieces(), "decisions": decisions },
            "facts": self.facts(&devices),
            "settings": self.experiment.flat()?,
            "statuses": statuses,
            "devices": devices,
            "messages": messages,
            "networks": columns,
            "hypervolume": self.hypervolume(),
            "details": details,
            "curves": curves,
            "forecasts": self.observed.predictions(self.target.as_deref()),
            "policy": self.observed.rounds(),
            "watch": self.watch(joined)?,
        });
        let effects = if is_live { Value::Null } else { self.effects()? };
        if let (Some(run), Value::Object(more)) = (run.as_object_mut(), more) {
            run.extend(more);
            run.insert("effects".to_owned(), effects);
        }
        Ok(run)
    }

    /// The main effects of the decisions.
    ///
    /// # Errors
    /// If a network of the journal is not of the space, or the surrogate cannot be fitted.
    pub fn effects(&self) -> Result<Value> {
        let effects = effects(&self.problem, &self.followed.history)?;
        Ok(if effects.is_empty() { Value::Null } else { serde_json::to_value(effects)? })
    }

    /// Number of jobs in the journal.
    pub fn jobs(&self) -> usize {
        self.followed.rows.len()
    }

    /// The target, of a search that has several.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The front and the progress.
    pub fn into_summary(self) -> Summary {
        self.summary
    }

    /// The front and the progress.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The page of a run's targets as a single file.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn report(pages: &[Self]) -> Result<String> {
        let values = pages.iter().map(|page| page.value(false)).collect::<Result<Vec<_>>>()?;
        let folder = pages.first().filter(|_| pages.len() > 1).map(|page| page.folder.clone());
        let together = folder.and_then(|folder| together(&[folder]));
        Ok(html(&document(values, together, false).to_string()))
    }

    fn state(&self) -> &'static str {
        match &self.status {
            None => "unknown",
            Some(status) if status.is_live() => "running",
            Some(status) if status.ended => "finished",
            Some(_) => "interrupted",
        }
    }

    /// Layers and learning curves of networks, those of the front first, as far as there is room.
    fn networks(&self, joined: &[Joined], is_live: bool) -> (Map<String, Value>, Map<String, Value>) {
        let front = self.summary.members.iter().map(|member| &member.row);
        let rows: Vec<&Row> = front.chain(joined.iter().rev().map(|one| &one.row)).collect();
        let details = |row: &Row| {
            let architecture = self.problem.space().parse(&row.architecture).ok()?;
            details(&self.problem, &architecture, self.observed.measured(row.evaluation)).ok()
        };
        let of_details: &[&Row] = if is_live { &[] } else { &rows };
        (with_room(of_details, details), with_room(&rows, |row| self.observed.curve(row.evaluation)))
    }

    /// Facts about the run, in the order in which people ask for them.
    fn facts(&self, devices: &[String]) -> Vec<[String; 2]> {
        let Experiment { search, strategy, replay, data, .. } = &self.experiment;
        let space = self.problem.space();
        let times = || self.followed.rows.iter().filter_map(|row| row.started_at.clone());
        let trainer = self.followed.rows.iter().find_map(|row| row.trainer.clone());
        let log = replay.as_ref().map(|replay| replay.log.display().to_string());
        let images = log.is_none().then(|| data_set(&data.source));
        let facts = [
            ("strategy", Some(strategy.name().to_owned())),
            ("seed", Some(search.seed.to_string())),
            ("space", Some(format!("{} ({:.3e} architectures)", space.name(), space.size() as f64))),
            ("images", images),
            ("log", log),
            ("device", (!devices.is_empty()).then(|| devices.join("; "))),
            ("trainer", trainer),
            ("first network begun", times().min()),
            ("last network begun", times().max()),
            ("host", self.status.as_ref().map(|status| status.host.clone())),
            ("program", self.status.as_ref().map(|status| format!("controller {}", status.version))),
        ];
        let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Hypervolume by evaluations, by epochs and by hours since the first network was begun.
    fn hypervolume(&self) -> Value {
        let steps = &self.summary.hypervolume;
        json!({
            "evaluations": steps.iter().map(|step| step.evaluations).collect::<Vec<_>>(),
            "epochs": steps.iter().map(|step| step.epochs).collect::<Vec<_>>(),
            "hours": steps.iter().map(|step| short(step.hours)).collect::<Vec<_>>(),
            "share": steps.iter().map(|step| short(Some(step.share))).collect::<Vec<_>>(),
        })
    }

    /// Jobs under way, and the use of the time.
    fn watch(&self, joined: &[Joined]) -> Result<Value> {
        let total = |of: fn(&Row) -> Option<f64>| {
            let known: Vec<f64> = joined.iter().filter_map(|one| of(&one.row)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>())
        };
        let (training, measuring) = (total(|row| row.train_seconds), total(|row| row.measure_seconds));
        let inference_kwh = total(|row| Some(row.energy_mj? * row.time_runs? as f64 / MJ_IN_A_KWH));
        let recorded = self.observed.recorded();
        let Some(status) = &self.status else {
            let seconds = json!({ "training": training, "measuring": measuring });
            return Ok(json!({
                "seconds": seconds,
                "inference_energy_kwh": inference_kwh,
                "recorded_energy": recorded,
            }));
        };
        let mut watch = serde_json::to_value(status)?;
        if !status.is_live() {
            watch["jobs"] = json!([]);
            watch["devices"] = json!([]);
            watch["workers"] = json!([]);
            watch["cluster"] = Value::Null;
            watch["eta_seconds"] = Value::Null;
        }
        for list in ["jobs", "devices"] {
            for one in watch[list].as_array_mut().into_iter().flatten() {
                one["seconds"] = json!(one["since"].as_f64().map(|since| status.at - since));
            }
        }
        watch["inference_energy_kwh"] = json!(inference_kwh);
        watch["recorded_energy"] = json!(recorded);
        watch["seconds"] = json!({
            "training": training,
            "measuring": measuring,
            "own": status.own_seconds,
            "whole": status.at - status.since,
        });
        Ok(watch)
    }
}

/// What the pages of several runs, or targets of one, show together; `None` for a single one, or where they share too little.
pub(crate) fn together(folders: &[PathBuf]) -> Option<Value> {
    let several = several(folders, None).ok()?;
    (several.runs.len() > 1).then(|| serde_json::to_value(several).ok()).flatten()
}

/// The values of evaluations by their numbers, as far as there is room.
fn with_room(rows: &[&Row], of: impl Fn(&Row) -> Option<Value>) -> Map<String, Value> {
    let (mut known, mut bytes) = (Map::new(), 0);
    for row in rows {
        let key = row.evaluation.to_string();
        if bytes >= ROOM {
            break;
        }
        if known.contains_key(&key) {
            continue;
        }
        if let Some(value) = of(row) {
            bytes += value.to_string().len();
            known.insert(key, value);
        }
    }
    known
}

/// Costs and layers of one network of a run, for a live page.
///
/// # Errors
/// If the run has no such network.
pub(crate) fn network(folder: &Path, evaluation: u64) -> Result<Value> {
    let Recorded { problem, rows, .. } = Recorded::read(folder)?;
    let row = rows.iter().find(|row| row.evaluation == evaluation).context("the run has no such network")?;
    let architecture = problem.space().parse(&row.architecture)?;
    let mut observed = Observed::default();
    observed.follow(&folder.join(OBSERVATIONS));
    details(&problem, &architecture, observed.measured(evaluation))
}
