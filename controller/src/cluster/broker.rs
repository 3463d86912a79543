//! The NATS server: streams, and what can be done with them while it comes and goes.
//!
//! | stream | holds |
//! |---|---|
//! | `NAS_RUNS` | the last announcement of each run |
//! | `NAS_JOBS` | jobs without an end; a job is taken out once its answer is in `NAS_RESULTS` |
//! | `NAS_RESULTS` | answers that the searching process does not have in its journal yet |
//! | `NAS_WORKERS` | the last report of each worker |
//! | `OBJ_nas` | models until they are in the run folder, and saved trainings |

mod objects;
mod tail;

pub(crate) use tail::Tail;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode, object_store};
use futures_util::StreamExt as _;

use super::message::{Kind, LONGEST};
use super::{login, show};
use crate::config::ClusterConfig;
use crate::stop::Stop;

/// Streams by their purpose.
pub(crate) const RUNS: &str = "NAS_RUNS";
pub(crate) const JOBS: &str = "NAS_JOBS";
pub(crate) const RESULTS: &str = "NAS_RESULTS";
pub(crate) const WORKERS: &str = "NAS_WORKERS";
const OBJECTS: &str = "nas";

/// Age after which messages are removed that were not fetched.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time until something that the server refused, or did not answer, is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Time between two lines about a server that is away.
const INTERVAL: Duration = Duration::from_secs(10);

/// A connection to the server, which comes back by itself.
#[derive(Clone)]
pub(crate) struct Broker {
    pub client: Client,
    jetstream: Context,
    url: String,
    stop: Stop,
}

impl Broker {
    /// Connects; `name` is shown in the server's list of connections. What waits for the server ends with `stop`.
    ///
    /// # Errors
    /// If no server answers, it refuses this user, or it has no JetStream.
    pub async fn connect(config: &ClusterConfig, name: &str, stop: &Stop) -> Result<Self> {
        let url = config.server().map(str::to_owned).context("cluster.url is missing: name a NATS server")?;
        let remedy = "see docs/cluster.md; `scripts/nats.sh` gets a server";
        let connecting = login::options(config, name).await?.connect(&url);
        let client = connecting.await.with_context(|| format!("cannot connect to the NATS server {url} ({remedy})"))?;
        let jetstream = jetstream::new(client.clone());
        Ok(Self { client, jetstream, url, stop: stop.clone() })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the streams that are missing.
    pub async fn make_streams(&self) -> Result<()> {
        let age = |max_age| Config {
            max_age,
            storage: StorageType::File,
            max_message_size: LONGEST as i32,
            ..Config::default()
        };
        let last = |name: &str, subjects: &str| Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            max_messages_per_subject: 1,
            ..age(FORGOTTEN)
        };
        let each = |name: &str, subjects: &str, retention| Config {
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            retention,
            ..last(name, subjects)
        };
        for config in [
            last(RUNS, "nas.*.run"),
            each(JOBS, "nas.*.job.>", RetentionPolicy::WorkQueue),
            each(RESULTS, "nas.*.result.>", RetentionPolicy::Limits),
            Config {
                max_age: Duration::from_secs(24 * 3600),
                storage: StorageType::Memory,
                ..last(WORKERS, "nas.*.report")
            },
        ] {
            let name = config.name.clone();
            let made = self.jetstream.get_or_create_stream(config).await;
            made.with_context(|| {
                let url = &self.url;
                format!(
                    "the NATS server {url} cannot make the stream {name} (JetStream is switched on by its option -js)"
                )
            })?;
        }
        if self.jetstream.get_object_store(OBJECTS).await.is_err() {
            let bucket = object_store::Config { bucket: OBJECTS.to_owned(), max_age: FORGOTTEN, ..Default::default() };
            let made = self.jetstream.create_object_store(bucket).await;
            made.with_context(|| format!("the NATS server {} cannot make the object store {OBJECTS}", self.url))?;
        }
        Ok(())
    }

    /// Does something until it succeeds; says so when that takes long. `None` if the search or worker was stopped.
    pub async fn persist<T, F: Future<Output = Result<T>>>(&self, what: &str, act: impl Fn() -> F) -> Option<T> {
        let mut last = Instant::now();
        loop {
            let error = match act().await {
                Ok(done) => return Some(done),
                Err(error) => error,
            };
            if self.stop.asked() {
                return None;
            }
            if last.elapsed() >= INTERVAL {
                last = Instant::now();
                show(self.waiting_for(what, &error));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why something does not succeed, and what helps.
    fn waiting_for(&self, what: &str, error: &anyhow::Error) -> String {
        let url = &self.url;
        let waiting = format!("waiting for the NATS server {url}");
        let reason = format!("{error:#}");
        if is_full(error) {
            return format!(
                "{waiting}: its store is full, so it cannot {what} ({reason}): make room on its disk, or raise \
                 jetstream.max_file_store in its configuration, and start it again; `controller workers --cluster {url}` \
                 lists the runs that it keeps, and `--forget RUN` removes one"
            );
        }
        // A server whose disk became full while it wrote takes messages, and does not acknowledge them.
        let advice = if reason.contains("timed out") { "; its log says why, such as a full disk" } else { "" };
        format!("{waiting}: cannot {what}: {reason}{advice}")
    }

    /// Stores a message unless its subject has one. `id` lets the server drop a repetition that it receives twice.
    pub async fn store(&self, subject: &str, id: &str, payload: Vec<u8>) -> Option<()> {
        let payload = bytes::Bytes::from(payload);
        self.persist("hand over a message", || async {
            let message = jetstream::message::PublishMessage::build().message_id(id).payload(payload.clone());
            let sent = self.jetstream.send_publish(subject.to_owned(), message).await;
            let acknowledged = match sent {
                Ok(acknowledgement) => acknowledgement.await.map(drop),
                Err(error) => Err(error),
            };
            match acknowledged {
                Err(error) if is_there_already(&error) => Ok(()),
                other => Ok(other?),
            }
        })
        .await
    }

    /// Replaces the last message of a subject; `what` is shown while that does not succeed.
    pub async fn replace(&self, what: &str, subject: &str, payload: Vec<u8>) -> Option<()> {
        let payload = bytes::Bytes::from(payload);
        self.persist(what, || async {
            self.jetstream.publish(subject.to_owned(), payload.clone()).await?.await?;
            Ok(())
        })
        .await
    }

    /// Sends a message that may get lost.
    pub async fn send(&self, subject: String, payload: Vec<u8>) {
        // Without a connection it is kept until there is one, or dropped.
        let _ = self.client.publish(subject, payload.into()).await;
    }

    /// The last message of a subject; `None` if the server has none.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn last(&self, stream: &str, subject: &str) -> Result<Option<Vec<u8>>> {
        let stream = self.jetstream.get_stream_no_info(stream).await?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message.payload.to_vec())),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error) if error.kind() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Removes the messages of a stream with this subject, which may have wild cards. Returns their number.
    pub async fn remove(&self, stream: &str, subject: &str) -> Option<u64> {
        self.persist("remove what is done", || async {
            Ok(self.jetstream.get_stream_no_info(stream).await?.purge().filter(subject).await?.purged)
        })
        .await
    }

    /// The subjects of a stream that have messages, out of those that match.
    pub async fn subjects(&self, stream: &str, matching: &str) -> Option<Vec<String>> {
        self.persist("list the jobs", || async {
            let found = self.jetstream.get_stream(stream).await?.info_builder().subjects(matching).fetch().await?;
            let (mut subjects, mut pages) = (Vec::new(), found);
            while let Some(next) = pages.next().await {
                subjects.push(next?.0);
            }
            Ok(subjects)
        })
        .await
    }

    /// Makes the consumer of a run's jobs of a kind.
    pub async fn make_consumer(&self, run: &str, kind: Kind, silence: Duration) -> Option<()> {
        let config = pull::Config {
            durable_name: Some(consumer_name(run, kind)),
            filter_subject: format!("nas.{run}.job.{}.>", kind.as_str()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: silence,
            // A worker fetches as many as it can do.
            max_ack_pending: 10_000,
            ..pull::Config::default()
        };
        self.persist("make a consumer", || async {
            self.jetstream.get_stream_no_info(JOBS).await?.create_consumer(config.clone()).await?;
            Ok(())
        })
        .await
    }

    /// The consumer of a run's jobs of a kind, and the time after which a job without a sign is given to others.
    pub async fn consumer(&self, run: &str, kind: Kind) -> Result<(PullConsumer, Duration)> {
        let stream = self.jetstream.get_stream_no_info(JOBS).await?;
        let consumer: PullConsumer =
            stream.get_consumer(&consumer_name(run, kind)).await.map_err(|error| anyhow!(error))?;
        let silence = consumer.cached_info().config.ack_wait;
        Ok((consumer, silence))
    }

    /// Removes a run's consumers.
    pub async fn remove_consumers(&self, run: &str) {
        for kind in Kind::ALL {
            // One that is left has no jobs.
            let _ = self.jetstream.delete_consumer_from_stream(consumer_name(run, kind), JOBS).await;
        }
    }

    /// By run, how long ago it was announced last, by the server's clock, and the announcement; `None` without streams.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn announced(&self) -> Result<Option<BTreeMap<String, (Duration, Vec<u8>)>>> {
        let stream = match self.jetstream.get_stream(RUNS).await {
            Ok(stream) => stream,
            // No search was here yet.
            Err(error) if is_missing(&error.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(10),
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.create_consumer(config).await?;
        let now = consumer.cached_info().created;
        let mut found = BTreeMap::new();
        let mut messages = consumer.fetch().max_messages(10_000).messages().await?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| anyhow!(error))?;
            let published = message.info().map_err(|error| anyhow!(error))?.published;
            let age = Duration::try_from(now - published).unwrap_or_default();
            let run = message.subject.split('.').nth(1).unwrap_or_default();
            found.insert(run.to_owned(), (age, message.payload.to_vec()));
        }
        Ok(Some(found))
    }

    /// Receives messages that may get lost.
    pub async fn subscribe(&self, subject: String) -> Result<async_nats::Subscriber> {
        Ok(self.client.subscribe(subject).await?)
    }
}

fn consumer_name(run: &str, kind: Kind) -> String {
    format!("{run}-{}", kind.as_str())
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.kind() == ErrorCode::STREAM_NOT_FOUND)
}

/// Whether the server has no room for a message.
fn is_full(error: &anyhow::Error) -> bool {
    const FULL: [ErrorCode; 3] = [
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ];
    let mut codes = error.chain().filter_map(|cause| cause.downcast_ref::<async_nats::jetstream::Error>());
    codes.any(|code| FULL.contains(&code.kind())) || format!("{error:#}").contains("no space left")
}

/// Whether a message was refused because its subject has one.
fn is_there_already(error: &async_nats::jetstream::context::PublishError) -> bool {
    error.kind() == PublishErrorKind::Other && format!("{error:?}").contains("maximum messages per subject exceeded")
}
