//! Options that several verbs share.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use hardware::path::expand_home;

use crate::config::Experiment;
use crate::objective::Objective;
use crate::run::kept_experiment;

/// The experiment of a verb.
#[derive(Debug, Clone, Args)]
pub(super) struct ExperimentOptions {
    /// Experiment file, or the folder of a run; without one, the quickstart.
    #[arg(long = "experiment", value_name = "FILE", value_parser = local_path())]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Changes of an experiment: the same for every verb that reads one.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Overrides {
    /// Override a key of the experiment, such as search.evaluations=200; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Search space: nasbench201, nasnet or mobile.
    #[arg(long, value_name = "NAME")]
    pub space: Option<String>,
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Strategy: model-based, bayesian, policy-gradient, evolution or random.
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Upper bound on an objective, such as error=0.20; may be repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE")]
    pub bound: Vec<String>,
    /// Minimised objectives: two to five of error, time_ms, energy_mj, parameters, macs, activation_bytes [default: those
    /// of error, time_ms and energy_mj that are measured].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub objectives: Vec<Objective>,
}

impl Overrides {
    /// As `--set` takes them; of an option and a `--set` of the same key, the latter counts.
    pub fn all(&self) -> Vec<String> {
        let names: Vec<_> = self.objectives.iter().map(|objective| format!("\"{objective}\"")).collect();
        let space = self.space.iter().map(|name| format!("space.name={name}"));
        let strategy = self.strategy.iter().map(|name| format!("strategy.name={name}"));
        let data_dir = self.data_dir.iter().map(|dir| format!("data.dir={}", quoted(dir)));
        let bounds = self.bound.iter().map(|bound| format!("search.bounds.{bound}"));
        let objectives = (!names.is_empty()).then(|| format!("search.objectives=[{}]", names.join(", ")));
        let seed = self.seed.map(|seed| format!("search.seed={seed}"));
        let options = space.chain(strategy).chain(data_dir).chain(bounds).chain(objectives).chain(seed);
        options.chain(self.set.iter().cloned()).collect()
    }
}

/// Reads a path on the command line, of a file or folder of this machine: no shell expands `~` within quotes.
pub(super) fn local_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| expand_home(&path))
}

/// Where workers meet.
#[derive(Debug, Clone, Args)]
pub(super) struct ClusterOptions {
    /// Address of the NATS server [default: cluster.url of the experiment file].
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,
    /// Experiment file with this machine's settings; without one, the quickstart.
    #[arg(long = "experiment", value_name = "FILE", value_parser = local_path())]
    file: Option<PathBuf>,
    /// Override a key of the experiment, such as search.trainers=4; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ClusterOptions {
    /// The experiment with a server; `more` overrides come first.
    pub fn read(&self, more: impl IntoIterator<Item = String>) -> anyhow::Result<Experiment> {
        let url = self.cluster.iter().map(|url| cluster_url(url));
        let overrides: Vec<String> = more.into_iter().chain(url).chain(self.set.iter().cloned()).collect();
        let experiment = read(self.file.as_deref(), &overrides)?;
        let named = experiment.cluster.server();
        named.context("no server: name it by --cluster nats://HOST:4222, or by cluster.url")?;
        Ok(experiment)
    }
}

/// The address of a NATS server as `--set` takes it.
pub(super) fn cluster_url(url: &str) -> String {
    let url = if url == "none" { "" } else { url };
    format!("cluster.url={}", toml::Value::String(url.to_owned()))
}

/// A path as a TOML string.
pub(super) fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// Length and output of a search.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SearchOptions {
    /// Networks to train in full.
    #[arg(long, value_name = "N")]
    pub evaluations: Option<u64>,
    /// Then measure members of the front again, N times in all; members with a lead within the noise come first. Not in a
    /// replay. Also works on a finished run, with --resume; given from the beginning, it keeps the models of dominated
    /// networks until then, in case one comes back to the front.
    #[arg(long, value_name = "N")]
    pub remeasure: Option<u64>,
    /// Coordinate of the reference point of the hypervolume, such as time_ms=30, so that runs can be compared; may be
    /// repeated.
    #[arg(long, value_name = "OBJECTIVE=VALUE")]
    pub reference: Vec<String>,
    /// Hand the jobs to workers, by a NATS server at this address: nats://HOST:4222; `none` goes on without.
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub quiet: bool,
}

impl SearchOptions {
    /// As `--set` takes them, with the overrides behind them.
    pub fn with(&self, overrides: &Overrides) -> Vec<String> {
        let evaluations = self.evaluations.map(|count| format!("search.evaluations={count}"));
        let remeasure = self.remeasure.map(|count| format!("search.remeasure={count}"));
        let reference = self.reference.iter().map(|given| format!("search.reference.{given}"));
        let cluster = self.cluster.as_ref().map(|url| cluster_url(url));
        evaluations.into_iter().chain(cluster).chain(remeasure).chain(reference).chain(overrides.all()).collect()
    }
}

impl ExperimentOptions {
    pub fn read(&self) -> anyhow::Result<Experiment> {
        read(self.file.as_deref(), &self.overrides.all())
    }
}

/// Reads an experiment file, or the quickstart, with overrides.
pub(super) fn read(file: Option<&Path>, overrides: &[String]) -> anyhow::Result<Experiment> {
    Ok(match file {
        // A run folder holds an experiment.
        Some(folder) if folder.is_dir() => kept_experiment(folder, overrides)?,
        Some(file) => Experiment::read(file, overrides)?,
        None => Experiment::quickstart(overrides)?,
    })
}

/// Reads a bound such as `time_ms=4`.
pub(super) fn parse_bound(text: &str) -> anyhow::Result<(Objective, f64)> {
    let (name, value) = text.split_once('=').context("expected OBJECTIVE=VALUE, such as time_ms=4")?;
    let value = value.trim();
    Ok((name.trim().parse()?, value.parse().with_context(|| format!("`{value}` is not a number"))?))
}
