//! Which workers a job may have killed.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::cluster::broker::Broker;
use crate::cluster::message::JobId;

/// Name of the counts of a job, among the objects.
pub(super) fn unbegun_name(run: &str, id: &JobId) -> String {
    format!("{run}-unbegun-{id}")
}

/// How many workers took a job, and how many of those ended before it began: they were stopped, or died while the job
/// waited for the machine. The server keeps the counts, since a worker that dies cannot report it.
pub(super) struct Unbegun {
    /// Workers that took the job, this one included.
    taken: u64,
    earlier: u64,
    /// Whether some workers are to avoid the job.
    is_avoided: bool,
    /// When the wait is long enough to be noted; `None` when it has begun, or is noted.
    due: Option<Instant>,
    is_noted: bool,
    counts: watch::Sender<Counts>,
    writing: JoinHandle<()>,
}

/// What the server keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Workers that took the job; 0 where the server's count of deliveries says it.
    taken: u64,
    unbegun: u64,
}

impl Counts {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (taken, unbegun) = bytes.split_first_chunk::<8>()?;
        Some(Self { taken: u64::from_le_bytes(*taken), unbegun: u64::from_le_bytes(unbegun.try_into().ok()?) })
    }

    fn written(self) -> Vec<u8> {
        [self.taken.to_le_bytes(), self.unbegun.to_le_bytes()].concat()
    }
}

impl Unbegun {
    /// For a job that was handed out now for the `delivered`th time. A worker that is to avoid the job gives it back each
    /// second, and each time the server counts a delivery: of such a job, those that take it are counted here.
    ///
    /// # Errors
    /// If the server does not keep the count of a job that some workers are to avoid.
    pub async fn open(broker: &Broker, name: String, delivered: u64, is_avoided: bool) -> Result<Self> {
        /// Most jobs begin sooner, and need no message.
        const AT_ONCE: Duration = Duration::from_secs(1);
        let kept = match (delivered > 1, is_avoided) {
            (false, _) => None,
            (true, true) => broker.object(&name).await?,
            // Without it, a death counts that should not.
            (true, false) => broker.object(&name).await.ok().flatten(),
        };
        let kept = kept.and_then(|kept| Counts::read(&kept)).unwrap_or_default();
        let now = Counts { taken: if is_avoided { kept.taken.saturating_add(1) } else { 0 }, ..kept };
        if is_avoided {
            // Before it begins: it may kill this worker at once.
            broker.put_object(&name, &now.written()).await?;
        }
        let (counts, mut changes) = watch::channel(now);
        let broker = broker.clone();
        let writing = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let counts = *changes.borrow_and_update();
                // Without it, a death counts that should not.
                if counts == Counts::default() {
                    broker.remove_object(&name).await;
                } else {
                    let _ = broker.put_object(&name, &counts.written()).await;
                }
            }
        });
        let taken = if is_avoided { now.taken } else { delivered };
        let due = Some(Instant::now() + AT_ONCE);
        Ok(Self { taken, earlier: kept.unbegun, is_avoided, due, is_noted: false, counts, writing })
    }

    /// Workers that took the job, this one included.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    pub fn earlier(&self) -> u64 {
        self.earlier
    }

    /// Ends when the job has waited for long enough to be noted.
    pub async fn waits(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// The job waits: should the worker die now, that is not counted.
    pub fn wait(&mut self) {
        self.note(true);
    }

    /// Its work begins.
    pub fn begin(&mut self) {
        if self.due.take().is_none() && self.is_noted {
            self.note(false);
        }
    }

    /// The job has ended, or is given back.
    pub async fn end(mut self, has_ended: bool) {
        /// The worker ends after that at the latest.
        const PATIENCE: Duration = Duration::from_secs(5);
        match has_ended {
            true if self.is_noted || self.earlier > 0 || self.is_avoided => {
                let _ = self.counts.send(Counts::default());
            }
            true => {}
            false => self.note(true),
        }
        let Self { counts, writing, .. } = self;
        drop(counts);
        let _ = tokio::time::timeout(PATIENCE, writing).await;
    }

    fn note(&mut self, is_unbegun: bool) {
        (self.due, self.is_noted) = (None, is_unbegun);
        let taken = if self.is_avoided { self.taken } else { 0 };
        let _ = self.counts.send(Counts { taken, unbegun: self.earlier.saturating_add(u64::from(is_unbegun)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_written_and_nothing_else_is() {
        let counts = Counts { taken: 3, unbegun: u64::MAX };
        assert_eq!(Counts::read(&counts.written()), Some(counts));
        for damaged in [&b""[..], &[0; 8], &[0; 17]] {
            assert_eq!(Counts::read(damaged), None);
        }
    }
}
