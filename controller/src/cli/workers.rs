//! `controller workers`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use comfy_table::{Table, presets};
use futures_util::StreamExt as _;
use indicatif::HumanDuration;
use serde_json::json;

use super::options::ClusterOptions;
use crate::cluster::{Broker, Presence, Standing, Tail, WORKERS, read_presence};
use crate::config::ClusterConfig;
use crate::stop::Stop;
use crate::terminal::say;

/// List the workers of a cluster: machines, devices, what each does, and failures.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller workers --cluster nats://lab:4222
  controller workers --experiment cluster.toml --json")]
pub(super) struct ListWorkers {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A worker, and whether it has answered.
pub(super) struct Seen {
    pub presence: Presence,
    pub answers: bool,
}

impl ListWorkers {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = self.cluster.read([])?.cluster;
        let seen = find_workers(&config)?;
        if self.json {
            let entry = |(id, Seen { presence, answers }): (&String, &Seen)| {
                let mut entry = serde_json::to_value(presence)?;
                (entry["worker"], entry["answers"]) = (json!(id), json!(answers));
                anyhow::Ok(entry)
            };
            let entries: Result<Vec<_>> = seen.iter().map(entry).collect();
            say(serde_json::to_string_pretty(&entries?)?)?;
        } else if seen.is_empty() {
            let url = config.url.unwrap_or_default();
            say(format_args!("no worker: `controller worker --cluster {url}` starts one"))?;
        } else {
            say(table(&seen))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks all workers to report, and reads the last reports of the others.
pub(super) fn find_workers(config: &ClusterConfig) -> Result<BTreeMap<String, Seen>> {
    /// Time for answers.
    const WAIT: Duration = Duration::from_millis(1500);
    let runtime = tokio::runtime::Runtime::new().context("cannot start a thread for the connection")?;
    runtime.block_on(async {
        let broker = Broker::connect(config, "workers", &Stop::default()).await?;
        let mut reports = broker.subscribe("nas.*.report".to_owned()).await?;
        broker.send("nas.who".to_owned(), Vec::new()).await;
        let (mut live, mut kept) = (BTreeMap::new(), BTreeMap::new());
        let mut tail = broker.tail(WORKERS, "nas.*.report".to_owned());
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let (all, subject, payload) = tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                Some(report) = reports.next() => (&mut live, report.subject.to_string(), report.payload.to_vec()),
                Some(event) = tail.recv() => match event {
                    Tail::Message { subject, payload } => (&mut kept, subject, payload),
                    Tail::CaughtUp => continue,
                },
            };
            let id = subject.split('.').nth(1).unwrap_or_default().to_owned();
            if let Ok(presence) = read_presence(&payload) {
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
        Ok(seen)
    })
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
