//! Which deaths of workers a job had no part in.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::cluster::broker::Broker;
use crate::cluster::message::JobId;

/// Name of the count of a job's deliveries that ended before it began, among the objects.
pub(super) fn unbegun_name(run: &str, id: &JobId) -> String {
    format!("{run}-unbegun-{id}")
}

/// How many times a job was handed out and ended before it began: its worker was stopped, or died while the job waited for
/// the machine. The server keeps the count, since a worker that dies cannot say so.
pub(super) struct Unbegun {
    earlier: u64,
    /// When the wait is long enough to be noted; `None` when it has begun, or is noted.
    due: Option<Instant>,
    is_noted: bool,
    count: watch::Sender<u64>,
    writing: JoinHandle<()>,
}

impl Unbegun {
    /// For a job that was handed out now for the `delivered`th time.
    pub async fn open(broker: &Broker, name: String, delivered: u64) -> Self {
        /// Most jobs begin sooner, and need no message.
        const AT_ONCE: Duration = Duration::from_secs(1);
        let kept = if delivered > 1 { broker.object(&name).await.ok().flatten() } else { None };
        let earlier = kept.and_then(|kept| Some(u64::from_le_bytes(kept.try_into().ok()?))).unwrap_or(0);
        let (count, mut counts) = watch::channel(earlier);
        let broker = broker.clone();
        let writing = tokio::spawn(async move {
            while counts.changed().await.is_ok() {
                let count: u64 = *counts.borrow_and_update();
                // Without it, a death counts that should not.
                match count {
                    0 => broker.remove_object(&name).await,
                    _ => drop(broker.put_object(&name, &count.to_le_bytes()).await),
                }
            }
        });
        Self { earlier, due: Some(Instant::now() + AT_ONCE), is_noted: false, count, writing }
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
            true if self.is_noted || self.earlier > 0 => drop(self.count.send(0)),
            true => {}
            false => self.note(true),
        }
        let Self { count, writing, .. } = self;
        drop(count);
        let _ = tokio::time::timeout(PATIENCE, writing).await;
    }

    fn note(&mut self, is_unbegun: bool) {
        (self.due, self.is_noted) = (None, is_unbegun);
        let _ = self.count.send(self.earlier + u64::from(is_unbegun));
    }
}
