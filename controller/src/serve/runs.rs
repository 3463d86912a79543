//! The runs of a page, read again when their folders change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::observe::Status;
use crate::page::{Before, RunPage, document, html, network, together};
use crate::run::{JOURNAL, OBSERVATIONS, STATUS};
use crate::terminal::note;

/// Time between two looks at the folders.
const INTERVAL: Duration = Duration::from_millis(500);
/// Reading, and computing effects, each take at most one in so many parts of the time: the search may be on the same machine.
const SHARE: u32 = 200;

/// A reading that took less counts as one that took this long, for the comparison with the next.
const LEAST: Duration = Duration::from_millis(1);

/// Runs and their document.
pub(super) struct Runs {
    folders: Vec<PathBuf>,
    state: Mutex<Known>,
    /// Number of the document, counted up.
    version: watch::Sender<u64>,
}

/// The state of the folders when they were read last.
struct Known {
    stamps: Vec<Stamp>,
    runs: Vec<Shown>,
    /// Several runs under one reference; `None` for one run, or where they share too little.
    together: Option<Value>,
    /// The document, as JSON: it is the same for all pages.
    text: Bytes,
    read: Instant,
    took: Duration,
}

/// A run as it was read last, for each target.
struct Shown {
    values: Vec<Value>,
    effects: Effects,
    /// What the next reading goes on from; `None` where the last one failed.
    before: Option<Before>,
}

/// The main effects of a run's decisions, which take longer than all the rest.
#[derive(Clone)]
struct Effects {
    /// By target.
    values: Vec<Value>,
    /// Number of jobs when they were computed.
    jobs: usize,
    computed: Instant,
    took: Duration,
}

/// What a page is made of, as far as it changes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    /// Lengths and times of the files.
    files: [Option<(u64, SystemTime)>; 3],
    /// Whether the search goes on: one that was killed changes no file.
    is_live: bool,
}

impl Runs {
    /// Reads all folders.
    ///
    /// # Errors
    /// If one is not a run folder, or damaged.
    pub fn read(folders: Vec<PathBuf>) -> Result<Self> {
        let stamps = folders.iter().map(|folder| stamp(folder)).collect();
        let runs = folders.iter().map(|folder| Shown::read(folder, None, None)).collect::<Result<Vec<_>>>()?;
        let together = together(&folders);
        // The next reading is of what is new alone.
        let took = Duration::ZERO;
        let mut known = Known { stamps, runs, together, text: Bytes::new(), read: Instant::now(), took };
        known.write();
        Ok(Self { folders, state: Mutex::new(known), version: watch::Sender::new(0) })
    }

    /// Announces changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Reads folders that change, while a page is open.
    pub async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.version.receiver_count() == 0 {
                continue;
            }
            let this = Arc::clone(&self);
            // Such as one whose folder is moved.
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || this.refresh()).await {
                note(format_args!("warning: the page stays as it was: {error:#}"));
            }
        }
    }

    /// Reads the folders that have changed, unless that was done lately, and announces it to all open pages.
    fn refresh(&self) -> Result<()> {
        let stamps: Vec<Stamp> = self.folders.iter().map(|folder| stamp(folder)).collect();
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = known.read.elapsed() < known.took * SHARE;
        if known.stamps == stamps || is_early {
            return Ok(());
        }
        let begun = Instant::now();
        let mut of_effects = Duration::ZERO;
        for (index, folder) in self.folders.iter().enumerate() {
            if known.stamps[index] != stamps[index] {
                // One that cannot be read keeps its last page, and is not tried again until it changes.
                known.stamps[index] = stamps[index];
                let before = known.runs[index].effects.computed;
                let from = known.runs[index].before.take();
                known.runs[index] = Shown::read(folder, Some(&known.runs[index].effects), from)?;
                let Effects { computed, took, .. } = known.runs[index].effects;
                of_effects += if computed == before { Duration::ZERO } else { took };
            }
        }
        known.together = together(&self.folders);
        known.write();
        // Effects have a share of their own. On a busy machine a single reading may take far longer than its work.
        let took = begun.elapsed().saturating_sub(of_effects);
        (known.read, known.took) = (Instant::now(), took.min(2 * known.took.max(LEAST)));
        self.version.send_modify(|version| *version += 1);
        Ok(())
    }

    fn text(&self) -> Bytes {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// The page with its present document.
    pub async fn page(self: Arc<Self>) -> Result<Bytes> {
        blocking(move || {
            // The last page is better than none.
            let _ = self.refresh();
            Ok(html(&String::from_utf8_lossy(&self.text())).into())
        })
        .await
    }

    /// The present document.
    pub async fn document(self: Arc<Self>) -> Result<Bytes> {
        blocking(move || Ok(self.text())).await
    }

    /// Layers and measurement of a network.
    pub async fn network(self: Arc<Self>, run: usize, number: u64) -> Result<Bytes> {
        blocking(move || {
            let folder = self.folder_of(run).context("the page has no such run")?;
            Ok(network(&folder, number)?.to_string().into())
        })
        .await
    }

    /// The folder of a run of the document, in which each target is one.
    fn folder_of(&self, run: usize) -> Option<PathBuf> {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut targets =
            known.runs.iter().zip(&self.folders).flat_map(|(run, folder)| run.values.iter().map(move |_| folder));
        targets.nth(run).cloned()
    }
}

impl Known {
    fn write(&mut self) {
        let runs = self.runs.iter().flat_map(|run| run.values.clone()).collect();
        self.text = document(runs, self.together.clone(), true).to_string().into();
    }
}

async fn blocking(act: impl FnOnce() -> Result<Bytes> + Send + 'static) -> Result<Bytes> {
    tokio::task::spawn_blocking(act).await.context("reading the runs broke down")?
}

impl Shown {
    fn read(folder: &Path, effects: Option<&Effects>, before: Option<Before>) -> Result<Self> {
        let pages = RunPage::read_after(folder, before)?;
        let mut values = pages.iter().map(|page| page.value(true)).collect::<Result<Vec<_>>>()?;
        let effects = match effects.filter(|before| !before.are_old(jobs(&pages))) {
            Some(before) => before.clone(),
            None => Effects::of(&pages)?,
        };
        for (value, effects) in values.iter_mut().zip(&effects.values) {
            value["effects"] = effects.clone();
        }
        Ok(Self { values, effects, before: RunPage::into_before(pages) })
    }
}

impl Effects {
    fn of(pages: &[RunPage]) -> Result<Self> {
        let begun = Instant::now();
        let values = pages.iter().map(RunPage::effects).collect::<Result<_>>()?;
        Ok(Self { values, jobs: jobs(pages), computed: Instant::now(), took: begun.elapsed() })
    }

    /// Whether a quarter more is known, and computing them again stays within its share of the time.
    fn are_old(&self, jobs: usize) -> bool {
        jobs >= self.jobs + (self.jobs / 4).max(8) && self.computed.elapsed() > self.took * SHARE
    }
}

fn jobs(pages: &[RunPage]) -> usize {
    pages.iter().map(RunPage::jobs).max().unwrap_or(0)
}

fn stamp(folder: &Path) -> Stamp {
    let files = [JOURNAL, STATUS, OBSERVATIONS].map(|name| {
        let found = folder.join(name).metadata().ok()?;
        Some((found.len(), found.modified().ok()?))
    });
    Stamp { files, is_live: Status::read(&folder.join(STATUS)).is_some_and(|status| status.is_live()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_search_that_was_killed_changes_its_stamp_without_changing_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STATUS);
        let now_s = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as f64;
        let written = |age_s: f64| {
            let status = Status { at: now_s - age_s, ..Status::default() };
            std::fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            stamp(folder.path())
        };
        let (live, killed) = (written(0.0), written(60.0));
        assert_eq!(live.files, killed.files);
        assert!(live.is_live && !killed.is_live && live != killed);
    }
}
