//! The messages of a stream as they come, also behind a connection that breaks.

use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{Sender, channel};

use super::{Broker, PAUSE};

/// A message of a stream, or the sign that all earlier ones were received.
#[derive(Debug)]
pub(crate) enum Tail {
    Message { subject: String, payload: Vec<u8> },
    CaughtUp,
}

impl Broker {
    /// All messages of a stream that match, from the first one on, in order, for as long as the receiver lives.
    pub fn tail(&self, stream: &'static str, matching: String) -> tokio::sync::mpsc::Receiver<Tail> {
        /// Messages that wait for the receiver.
        const CAPACITY: usize = 64;
        let (sender, receiver) = channel(CAPACITY);
        let this = self.clone();
        tokio::spawn(async move {
            let mut next = 1;
            while !sender.is_closed() {
                let followed = this.follow(stream, &matching, &mut next, &sender).await;
                if followed.is_err() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        receiver
    }

    /// Passes messages on until the consumer breaks down; `next` is the number of the first one to pass on.
    async fn follow(&self, stream: &str, matching: &str, next: &mut u64, sender: &Sender<Tail>) -> Result<()> {
        let config = pull::Config {
            filter_subject: matching.to_owned(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        };
        let consumer: PullConsumer = self.jetstream.get_stream_no_info(stream).await?.create_consumer(config).await?;
        // It begins behind the last message at the latest: with fewer messages than before, the stream is a new one.
        if consumer.cached_info().delivered.stream_sequence + 1 < *next {
            *next = 1;
            anyhow::bail!("the stream was made anew");
        }
        if consumer.cached_info().num_pending == 0 {
            sender.send(Tail::CaughtUp).await?;
        }
        let mut messages = consumer.stream().heartbeat(Duration::from_secs(5)).messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            let (sequence, pending) =
                message.info().map(|info| (info.stream_sequence, info.pending)).map_err(|error| anyhow!(error))?;
            *next = sequence + 1;
            let (subject, payload) = (message.subject.to_string(), message.payload.to_vec());
            sender.send(Tail::Message { subject, payload }).await?;
            if pending == 0 {
                sender.send(Tail::CaughtUp).await?;
            }
        }
        Ok(())
    }
}
