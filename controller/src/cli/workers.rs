//! `controller workers`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use comfy_table::{Table, presets};
use futures_util::StreamExt as _;
use indicatif::HumanDuration;
use serde_json::json;

use super::options::ClusterOptions;
use super::run::start_threads;
use crate::cluster::{Broker, Held, Presence, Standing, Tail, WORKERS, is_token, read_presence};
use crate::config::ClusterConfig;
use crate::stop::Stop;
use crate::terminal::{note, say};

/// List the workers of a cluster, and the runs that its server holds.
///
/// Of workers: machines, devices, what each does, and failures. Of runs: whether the search answers, when it was announced
/// last, and how many jobs and answers wait. Nothing is left of a run that finished.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller workers --cluster nats://lab:4222
  controller workers --cluster nats://lab:4222 --forget 3f2a90c15e77b804
  controller workers --experiment cluster.toml --json")]
pub(super) struct ListWorkers {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Print the workers as JSON.
    #[arg(long)]
    json: bool,
    /// Remove what the server has of a run that will not be resumed: jobs, answers, models and saved trainings. The run folder
    /// stays as it is, and a run that is resumed all the same does its open jobs anew. Not while its search is running; one
    /// that is cut off from the server counts as ended, and announces itself again when it is back.
    #[arg(long, value_name = "RUN", conflicts_with = "json")]
    forget: Option<String>,
}

/// What a server knows.
pub(super) struct Found {
    pub workers: BTreeMap<String, Seen>,
    runs: BTreeMap<String, Held>,
    /// Runs whose searches answer.
    running: BTreeSet<String>,
}

/// A worker, and whether it has answered.
pub(super) struct Seen {
    pub presence: Presence,
    pub answers: bool,
}

impl ListWorkers {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = self.cluster.read([])?.cluster;
        if let Some(run) = &self.forget {
            return forget(&config, run);
        }
        let Found { workers: seen, runs, running } = find_workers(&config)?;
        if self.json {
            let entry = |(id, Seen { presence, answers }): (&String, &Seen)| {
                let mut entry = serde_json::to_value(presence)?;
                (entry["worker"], entry["answers"]) = (json!(id), json!(answers));
                anyhow::Ok(entry)
            };
            let entries: Result<Vec<_>> = seen.iter().map(entry).collect();
            say(serde_json::to_string_pretty(&entries?)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let url = config.url.unwrap_or_default();
        match seen.is_empty() {
            true => say(format_args!("no worker: `controller worker --cluster {url}` starts one"))?,
            false => say(table(&seen))?,
        }
        if !runs.is_empty() {
            say(format_args!("\n{}", table_of_runs(&runs, &running)))?;
        }
        if runs.keys().any(|run| !running.contains(run)) {
            say(format_args!(
                "\nA search that does not answer can be resumed with its run folder; `controller workers --cluster {url} \
                 --forget RUN` removes what the server has of it"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn forget(config: &ClusterConfig, run: &str) -> Result<ExitCode> {
    ensure!(is_token(run), "--forget {run:?}: `controller workers` lists the runs by their names");
    let removed = start_threads("the connection")?.block_on(async {
        let broker = Broker::connect(config, "workers", &Stop::default()).await?;
        broker.forget(run).await
    })?;
    say(format_args!("the run {run} is forgotten: {removed} were removed"))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks all workers to report, and reads the last reports of the others, and what the server has of runs.
pub(super) fn find_workers(config: &ClusterConfig) -> Result<Found> {
    /// Time for answers.
    const WAIT: Duration = Duration::from_millis(1500);
    /// Longest time for the list of runs.
    const PATIENCE: Duration = Duration::from_secs(20);
    start_threads("the connection")?.block_on(async {
        let broker = Broker::connect(config, "workers", &Stop::default()).await?;
        let mut reports = broker.subscribe("nas.*.report".to_owned()).await?;
        let mut alive = broker.subscribe("nas.*.alive".to_owned()).await?;
        broker.send("nas.who".to_owned(), Vec::new()).await;
        let (mut live, mut kept, mut running) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut tail = broker.tail(WORKERS, "nas.*.report".to_owned());
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let (all, subject, payload) = tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                Some(message) = alive.next() => {
                    running.extend(message.subject.split('.').nth(1).map(str::to_owned));
                    continue;
                }
                Some(report) = reports.next() => (&mut live, report.subject.to_string(), report.payload.to_vec()),
                Some(event) = tail.recv() => match event {
                    Tail::Message { subject, payload } => (&mut kept, subject, payload),
                    Tail::CaughtUp => continue,
                },
            };
            let id = subject.split('.').nth(1).unwrap_or_default().to_owned();
            if let Ok(presence) = read_presence(&payload)
                && is_token(&id)
            {
                all.insert(id, presence);
            }
        }
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let both = kept.into_iter().map(|one| (one, false)).chain(live.into_iter().map(|one| (one, true)));
        for ((id, presence), answers) in both {
            seen.insert(id, Seen { answers: answers && presence.leaving.is_none(), presence });
        }
        // A worker that was stopped is left out; one that could not go on says why.
        seen.retain(|_, one| one.presence.leaving.as_deref() != Some(""));
        let held = tokio::time::timeout(PATIENCE, broker.held()).await.context("the NATS server does not answer");
        let mut runs = held.flatten().unwrap_or_else(|error| {
            note(format_args!("warning: the runs cannot be listed: {error:#}"));
            BTreeMap::new()
        });
        runs.retain(|run, _| is_token(run));
        Ok(Found { workers: seen, runs, running })
    })
}

fn table_of_runs(runs: &BTreeMap<String, Held>, running: &BTreeSet<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["run", "search", "announced", "jobs", "answers that wait"]);
    for (run, Held { announced, jobs, answers }) in runs {
        let search = if running.contains(run) { "answers" } else { "does not answer" };
        let announced = announced.map_or_else(String::new, |age| format!("{} ago", HumanDuration(age)));
        table.add_row([run.clone(), search.to_owned(), announced, jobs.to_string(), answers.to_string()]);
    }
    table
}

fn table(seen: &BTreeMap<String, Seen>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "worker",
        "machine",
        "version",
        "measures on",
        "trains by",
        "under way",
        "since",
        "done",
        "failed",
        "",
    ]);
    for (id, Seen { presence, answers }) in seen {
        let Presence { machine, version, backend, device, measures, trains, measuring, training, .. } = presence;
        let device = match device {
            Some(device) if *measures > 1 => format!("{measures} × {}", device.description().label()),
            Some(device) => device.description().label(),
            None if *measures > 0 => "a log".to_owned(),
            None => String::new(),
        };
        let trainers = match trains {
            0 => String::new(),
            1 => backend.clone(),
            _ => format!("{trains} × {backend}"),
        };
        let since = Duration::try_from_secs_f64(presence.for_s).unwrap_or_default();
        let under_way = match (measuring, training) {
            (0, 0) => "idle".to_owned(),
            (measuring, 0) => format!("{measuring} measured"),
            (0, training) => format!("{training} trained"),
            (measuring, training) => format!("{measuring} measured, {training} trained"),
        };
        let refused = presence.runs.iter().filter_map(|(run, standing)| match standing {
            Standing::Refused(reason) => Some(format!("run {run}: {reason}")),
            Standing::Ready { note, .. } => note.as_ref().map(|note| format!("run {run}: {note}")),
            Standing::Preparing => Some(format!("run {run}: loads its data")),
        });
        let mut remarks: Vec<String> = refused.collect();
        match &presence.leaving {
            Some(reason) => remarks.insert(0, format!("has left: {reason}")),
            None if !answers => remarks.insert(0, "does not answer".to_owned()),
            None => {}
        }
        table.add_row([
            id.clone(),
            machine.clone(),
            version.clone(),
            device,
            trainers,
            under_way,
            HumanDuration(since).to_string(),
            presence.done.to_string(),
            presence.failed.to_string(),
            remarks.join("\n"),
        ]);
    }
    table
}
