//! The runs of a page, read again when their folders change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::compare::several;
use crate::page::{RunPage, document, html, network};
use crate::run::{JOURNAL, OBSERVATIONS, STATUS};

/// Time between two looks at the folders.
const INTERVAL: Duration = Duration::from_millis(500);
/// Reading takes at most this share of the time: the search may be on the same machine.
const SHARE: u32 = 100;

/// Runs and their document.
pub(super) struct Runs {
    folders: Vec<PathBuf>,
    state: Mutex<Known>,
    /// Number of the document, counted up.
    version: watch::Sender<u64>,
}

/// What is known of the folders.
struct Known {
    stamps: Vec<Stamp>,
    runs: Vec<Shown>,
    /// Several runs under one reference; `None` for one run, or where they share too little.
    together: Option<Value>,
    read: Instant,
    took: Duration,
}

/// A run as it was read last.
struct Shown {
    value: Value,
    /// Number of jobs when the effects were computed.
    effects_at: usize,
}

/// Lengths and times of the files that a page is made of.
type Stamp = [Option<(u64, SystemTime)>; 3];

impl Runs {
    /// Reads all folders.
    ///
    /// # Errors
    /// If one is no run folder, or damaged.
    pub fn read(folders: Vec<PathBuf>) -> Result<Self> {
        let begun = Instant::now();
        let stamps = folders.iter().map(|folder| stamp(folder)).collect();
        let runs = folders.iter().map(|folder| Shown::read(folder, None)).collect::<Result<_>>()?;
        let together = together(&folders);
        let known = Known { stamps, runs, together, read: Instant::now(), took: begun.elapsed() };
        Ok(Self { folders, state: Mutex::new(known), version: watch::Sender::new(0) })
    }

    /// Announces changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Reads folders that change, as long as somebody looks.
    pub async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.version.receiver_count() == 0 {
                continue;
            }
            let this = Arc::clone(&self);
            // A run that cannot be read now, such as one whose folder is moved, keeps its last page.
            if let Ok(Ok(true)) = tokio::task::spawn_blocking(move || this.refresh(false)).await {
                self.version.send_modify(|version| *version += 1);
            }
        }
    }

    /// Reads the folders that have changed. Returns whether one had. Unless `now`, not if that was done lately.
    fn refresh(&self, now: bool) -> Result<bool> {
        let stamps: Vec<Stamp> = self.folders.iter().map(|folder| stamp(folder)).collect();
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = known.read.elapsed() < known.took * SHARE && !now;
        if known.stamps == stamps || is_early {
            return Ok(false);
        }
        let begun = Instant::now();
        for (index, folder) in self.folders.iter().enumerate() {
            if known.stamps[index] != stamps[index] {
                known.runs[index] = Shown::read(folder, Some(&known.runs[index]))?;
                known.stamps[index] = stamps[index];
            }
        }
        known.together = together(&self.folders);
        (known.read, known.took) = (Instant::now(), begun.elapsed());
        Ok(true)
    }

    fn value(&self) -> Value {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        document(known.runs.iter().map(|run| run.value.clone()).collect(), known.together.clone(), true)
    }

    /// The page with its present document.
    pub async fn page(self: Arc<Self>) -> Result<Bytes> {
        blocking(move || {
            self.refresh(false)?;
            Ok(html(&self.value()).into())
        })
        .await
    }

    /// The present document.
    pub async fn document(self: Arc<Self>) -> Result<Bytes> {
        blocking(move || Ok(self.value().to_string().into())).await
    }

    /// Layers and learning curve of a network.
    pub async fn network(self: Arc<Self>, run: usize, number: u64) -> Result<Bytes> {
        blocking(move || {
            let folder = self.folders.get(run).context("there is no such run")?;
            Ok(network(folder, number)?.to_string().into())
        })
        .await
    }
}

async fn blocking(act: impl FnOnce() -> Result<Bytes> + Send + 'static) -> Result<Bytes> {
    tokio::task::spawn_blocking(act).await.context("reading the runs broke down")?
}

impl Shown {
    /// Reads a run. Its effects, which take the longest, are computed again when a quarter more is known.
    fn read(folder: &Path, before: Option<&Self>) -> Result<Self> {
        let run = RunPage::read(folder)?;
        let is_fresh = before.is_some_and(|before| run.jobs() < before.effects_at + (before.effects_at / 4).max(8));
        let mut value = run.value(!is_fresh)?;
        if let Some(before) = before.filter(|_| is_fresh) {
            value["effects"] = before.value["effects"].clone();
        }
        let effects_at = before.filter(|_| is_fresh).map_or(run.jobs(), |before| before.effects_at);
        Ok(Self { value, effects_at })
    }
}

fn together(folders: &[PathBuf]) -> Option<Value> {
    let several = (folders.len() > 1).then(|| several(folders).ok()).flatten()?;
    serde_json::to_value(several).ok()
}

fn stamp(folder: &Path) -> Stamp {
    [JOURNAL, STATUS, OBSERVATIONS].map(|name| {
        let found = folder.join(name).metadata().ok()?;
        Some((found.len(), found.modified().ok()?))
    })
}
