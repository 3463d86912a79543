//! One job on the server, from its order to an answer that is accepted.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::broker::{Broker, JOBS, RESULTS};
use crate::cluster::message::{JobId, Kind, Order, written};
use crate::cluster::show;

/// A job as the server has it.
pub(super) struct Queued<'a> {
    broker: &'a Broker,
    run: &'a str,
    /// Distinguishes the orders of this process from those of an earlier one.
    nonce: u32,
    id: &'a JobId,
    subject: String,
    payload: Vec<u8>,
    /// How many times its order was stored.
    orders: u32,
    /// Answers that were rejected, and whose workers took the job off the server.
    rejected: u32,
    /// The worker and the reason of an answer that was rejected, whose worker may have taken the job off the server.
    suspect: Option<String>,
    /// When the server was asked last whether it has the job.
    checked: Instant,
}

/// So many answers to a job are rejected before it fails.
const MOST_REJECTED: u32 = 3;

impl<'a> Queued<'a> {
    /// A job that is handed out by this order.
    ///
    /// # Errors
    /// If the order is too long.
    pub fn new(broker: &'a Broker, run: &'a str, nonce: u32, id: &'a JobId, order: &Order) -> Result<Self> {
        let subject = format!("nas.{run}.job.{}.{id}", Kind::of(order.work).as_str());
        let payload = written(order)?;
        let checked = Instant::now();
        Ok(Self { broker, run, nonce, id, subject, payload, orders: 0, rejected: 0, suspect: None, checked })
    }

    /// Hands the job out. `None` if the search is being stopped.
    pub async fn store(&mut self) -> Option<()> {
        let once = format!("{}.{}.{}.{}", self.run, self.id, self.nonce, self.orders);
        self.orders += 1;
        self.broker.store(&self.subject, &once, self.payload.clone()).await
    }

    /// Whether the server has the job, or an answer to it.
    pub async fn is_held(&self) -> Option<bool> {
        let Self { broker, run, .. } = self;
        // In this order: a job is removed once its answer is there.
        let has_job = !broker.subjects(JOBS, &self.subject).await?.is_empty();
        let answers = format!("nas.{run}.result.{}.*", self.id);
        Some(has_job || !broker.subjects(RESULTS, &answers).await?.is_empty())
    }

    /// Removes an answer that cannot be one of this job.
    pub async fn reject(&mut self, worker: &str, error: &anyhow::Error) -> Option<()> {
        show(format_args!("warning: an answer of the worker {worker} is refused: {error:#}"));
        self.suspect = Some(format!("of the worker {worker}: {error:#}"));
        let Self { broker, run, .. } = self;
        broker.remove(RESULTS, &format!("nas.{run}.result.{}.{worker}", self.id)).await.map(drop)
    }

    /// Hands the job out again where the worker of a rejected answer took it off the server. With too many such answers it
    /// returns why the job fails. An answer of a stranger does not count: the server still has the job.
    pub async fn check(&mut self) -> Option<Result<(), String>> {
        /// The worker takes the job off the server after its answer is there.
        const INTERVAL: Duration = Duration::from_secs(1);
        if self.suspect.is_none() || self.checked.elapsed() < INTERVAL {
            return Some(Ok(()));
        }
        self.checked = Instant::now();
        if self.is_held().await? {
            return Some(Ok(()));
        }
        let last = self.suspect.take().unwrap_or_default();
        self.rejected += 1;
        if self.rejected == MOST_REJECTED {
            return Some(Err(format!("{MOST_REJECTED} answers to it were refused, the last one {last}")));
        }
        self.store().await?;
        Some(Ok(()))
    }
}
