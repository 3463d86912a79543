//! The sign of life of a search, and what it does where the server has lost its run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::inbox::Shared;
use crate::cluster::broker::{Broker, RUNS};
use crate::cluster::message::Kind;

/// Reports every few seconds, and when asked, that the search is running.
pub(super) struct Beat {
    pub broker: Broker,
    pub run: String,
    /// The announcement as it was sent.
    pub announcement: Vec<u8>,
    /// Time without a sign of a worker after which its jobs are given to others.
    pub silence: Duration,
    pub shared: Arc<Shared>,
}

impl Beat {
    pub async fn keep_up(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(3));
        let Ok(mut asked) = self.broker.subscribe("nas.who".to_owned()).await else { return };
        loop {
            let is_due = tokio::select! {
                _ = ticks.tick() => true,
                Some(_) = asked.next() => false,
            };
            self.broker.send(format!("nas.{}.alive", self.run), Vec::new()).await;
            if is_due && self.is_lost().await {
                self.shared.say("the NATS server has lost the announcement of this run: it is announced again");
                self.announce_again().await;
            }
        }
    }

    /// Whether the server has another announcement of the run than this search's, or none.
    async fn is_lost(&self) -> bool {
        let last = self.broker.last(RUNS, &format!("nas.{}.run", self.run)).await;
        // One that does not answer may have it.
        last.is_ok_and(|last| last.as_ref() != Some(&self.announcement))
    }

    /// Makes what is missing on the server, and has the jobs that wait for an answer looked for.
    async fn announce_again(&self) -> Option<()> {
        self.broker.persist("make the streams", || self.broker.make_streams()).await?;
        for kind in Kind::ALL {
            self.broker.make_consumer(&self.run, kind, self.silence).await?;
        }
        self.shared.losses.fetch_add(1, Ordering::Relaxed);
        self.shared.lost.notify_waiters();
        self.broker.replace("announce the run", &format!("nas.{}.run", self.run), self.announcement.clone()).await
    }
}
