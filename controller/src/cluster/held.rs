//! The runs that a server holds, and their end there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use indicatif::HumanBytes;

use super::broker::{Broker, JOBS, RESULTS};
use super::message::{Announcement, PROTOCOL, read, written};

/// The messages that a server has of a run.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Time since it was announced last; `None` if its announcement is missing.
    pub announced: Option<Duration>,
    /// Jobs without an answer.
    pub jobs: usize,
    /// Answers that the search does not have in its journal.
    pub answers: usize,
}

/// The messages and objects of a run that were removed.
#[derive(Debug)]
pub(crate) struct Removed {
    jobs: u64,
    answers: u64,
    /// Models and saved trainings: their sizes in bytes.
    objects: Vec<usize>,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, answers, objects } = self;
        let size = HumanBytes(objects.iter().map(|bytes| *bytes as u64).sum());
        let (models, plural) = (objects.len(), |count: u64| if count == 1 { "" } else { "s" });
        write!(
            f,
            "{jobs} job{}, {answers} answer{}, and {models} model{} and saved trainings ({size})",
            plural(*jobs),
            plural(*answers),
            plural(models as u64)
        )
    }
}

impl Broker {
    /// The runs that the server has something of, but for the sign that one has ended.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn held(&self) -> Result<BTreeMap<String, Held>> {
        // Without streams no search was here yet.
        let Some(announced) = self.announced().await? else { return Ok(BTreeMap::new()) };
        let mut runs: BTreeMap<String, Held> = BTreeMap::new();
        for (run, (age, payload)) in announced {
            if !read::<Announcement>(&payload).is_ok_and(|announcement| announcement.ended) {
                runs.entry(run).or_default().announced = Some(age);
            }
        }
        for stream in [JOBS, RESULTS] {
            for subject in self.subjects(stream, ">").await.unwrap_or_default() {
                let Some(run) = subject.split('.').nth(1) else { continue };
                let held = runs.entry(run.to_owned()).or_default();
                if stream == JOBS { held.jobs += 1 } else { held.answers += 1 }
            }
        }
        Ok(runs)
    }

    /// Announces that a run has ended, and removes what the server has of it; `None` if that was stopped.
    pub async fn end_run(&self, run: &str) -> Option<Removed> {
        let ended = Announcement {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            task: String::new(),
            data: String::new(),
            deployment: None,
            device: None,
            ended: true,
        };
        self.replace("announce the end of the run", &format!("nas.{run}.run"), written(&ended).ok()?).await?;
        let jobs = self.remove(JOBS, &format!("nas.{run}.job.>")).await?;
        let answers = self.remove(RESULTS, &format!("nas.{run}.result.>")).await?;
        self.remove_consumers(run).await;
        let objects = self.remove_objects(&format!("{run}-")).await;
        let _ = self.client.flush().await;
        Some(Removed { jobs, answers, objects })
    }

    /// Ends a run whose search is not running.
    ///
    /// # Errors
    /// If the server has no such run, its search answers, or the server does not.
    pub async fn forget(&self, run: &str) -> Result<Removed> {
        /// A search answers at once, and reports itself every few seconds.
        const WAIT: Duration = Duration::from_secs(4);
        /// Longest time for the removal.
        const PATIENCE: Duration = Duration::from_secs(60);
        let url = self.url();
        let slow = || format!("the NATS server {url} does not do it: may this user remove messages?");
        let runs = tokio::time::timeout(PATIENCE, self.held()).await.with_context(slow)??;
        let known = runs.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        ensure!(runs.contains_key(run), "the NATS server {url} holds no run {run}; it holds: {known}");
        let mut alive = self.subscribe(format!("nas.{run}.alive")).await?;
        self.send("nas.who".to_owned(), Vec::new()).await;
        let answers = tokio::time::timeout(WAIT, alive.next()).await.is_ok_and(|message| message.is_some());
        ensure!(
            !answers,
            "the search of the run {run} is running: stop it first (Ctrl-C). Where it finishes, nothing is left of it"
        );
        let removed = tokio::time::timeout(PATIENCE, self.end_run(run)).await.with_context(slow)?;
        removed.with_context(slow)
    }
}
