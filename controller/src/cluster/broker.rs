//! The NATS server: streams, and what can be done with them while it comes and goes.
//!
//! | stream | holds |
//! |---|---|
//! | `NAS_RUNS` | the last announcement of each run |
//! | `NAS_JOBS` | jobs without an end; a job is taken out once its answer is in `NAS_RESULTS` |
//! | `NAS_RESULTS` | answers that the searching process does not have in its journal yet |
//! | `NAS_WORKERS` | the last report of each worker |
//! | `OBJ_nas` | models until they are in the run folder, and saved trainings |

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, object_store};
use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::{Sender, channel};

use super::message::{Kind, LARGEST_OBJECT, LONGEST};
use crate::config::ClusterConfig;
use crate::stop::Stop;
use crate::terminal::note;

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

/// A message of a stream, or the sign that all earlier ones were received.
#[derive(Debug)]
pub(crate) enum Tail {
    Message { subject: String, payload: Vec<u8> },
    CaughtUp,
}

impl Broker {
    /// Connects; `name` is shown in the server's list of connections. What waits for the server ends with `stop`.
    ///
    /// # Errors
    /// If no server answers, it refuses this user, or it has no JetStream.
    pub async fn connect(config: &ClusterConfig, name: &str, stop: &Stop) -> Result<Self> {
        let url = config.server().map(str::to_owned).context("cluster.url is missing: name a NATS server")?;
        let remedy = "see docs/cluster.md; `scripts/nats.sh` gets a server";
        let connecting = options(config, name).await?.connect(&url);
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
                note(format_args!("waiting for the NATS server {}: cannot {what}: {error:#}", self.url));
            }
            tokio::time::sleep(PAUSE).await;
        }
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

    /// Replaces the last message of a subject.
    pub async fn replace(&self, subject: &str, payload: Vec<u8>) -> Option<()> {
        let payload = bytes::Bytes::from(payload);
        self.persist("announce the run", || async {
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

    /// Removes the messages of a stream with this subject, which may have wild cards.
    pub async fn remove(&self, stream: &str, subject: &str) -> Option<()> {
        self.persist("remove what is done", || async {
            self.jetstream.get_stream_no_info(stream).await?.purge().filter(subject).await?;
            Ok(())
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

    async fn objects(&self) -> Result<ObjectStore> {
        Ok(self.jetstream.get_object_store(OBJECTS).await?)
    }

    /// Stores an object under a name, in place of another one.
    pub async fn put_object(&self, name: &str, content: &[u8]) -> Result<()> {
        ensure!(content.len() <= LARGEST_OBJECT, "{name} has {} bytes, more than {LARGEST_OBJECT}", content.len());
        self.objects().await?.put(name, &mut &content[..]).await?;
        Ok(())
    }

    /// An object; `None` if there is none of this name.
    pub async fn object(&self, name: &str) -> Result<Option<Vec<u8>>> {
        use async_nats::jetstream::object_store::GetErrorKind;
        let object = match self.objects().await?.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        ensure!(object.info().size <= LARGEST_OBJECT, "{name} has more than {LARGEST_OBJECT} bytes");
        let mut content = Vec::new();
        object.take(LARGEST_OBJECT as u64 + 1).read_to_end(&mut content).await?;
        ensure!(content.len() <= LARGEST_OBJECT, "{name} has more than {LARGEST_OBJECT} bytes");
        Ok(Some(content))
    }

    /// Removes an object, if it is there. One that cannot be removed only takes room until it is forgotten.
    pub async fn remove_object(&self, name: &str) {
        if let Ok(objects) = self.objects().await {
            let _ = objects.delete(name).await;
        }
    }

    /// Removes the objects whose names begin like this.
    pub async fn remove_objects(&self, prefix: &str) {
        let Ok(objects) = self.objects().await else { return };
        let Ok(mut list) = objects.list().await else { return };
        let mut names = Vec::new();
        while let Some(Ok(object)) = list.next().await {
            names.extend(Some(object.name).filter(|name| name.starts_with(prefix)));
        }
        for name in names {
            let _ = objects.delete(&name).await;
        }
    }

    /// Receives messages that may get lost.
    pub async fn subscribe(&self, subject: String) -> Result<async_nats::Subscriber> {
        Ok(self.client.subscribe(subject).await?)
    }
}

fn consumer_name(run: &str, kind: Kind) -> String {
    format!("{run}-{}", kind.as_str())
}

/// Whether a message was refused because its subject has one.
fn is_there_already(error: &async_nats::jetstream::context::PublishError) -> bool {
    error.kind() == PublishErrorKind::Other && format!("{error:?}").contains("maximum messages per subject exceeded")
}

/// How to log in, by the section and the environment.
async fn options(config: &ClusterConfig, name: &str) -> Result<ConnectOptions> {
    let read = |path: &Path, what: &str| -> Result<String> {
        let content =
            std::fs::read_to_string(path).with_context(|| format!("cannot read cluster.{what} {}", path.display()))?;
        Ok(content.trim().to_owned())
    };
    let shown = Arc::new(Mutex::new(HashSet::new()));
    let mut options =
        ConnectOptions::new().name(name).ping_interval(Duration::from_secs(10)).event_callback(move |event| {
            // Otherwise a message without permission would only get no answer. Each reason is shown once.
            if let Event::ServerError(error) = event {
                let error = error.to_string();
                let is_new = shown.lock().unwrap_or_else(PoisonError::into_inner).insert(error.clone());
                if is_new {
                    note(format_args!("warning: the NATS server reports: {error}"));
                }
            }
            std::future::ready(())
        });
    if let Some(path) = &config.credentials {
        let credentials = read(path, "credentials")?;
        options =
            options.credentials(&credentials).with_context(|| format!("{} holds no credentials", path.display()))?;
    } else if let Some(path) = &config.nkey {
        options = options.nkey(read(path, "nkey")?);
    } else if let Some(path) = &config.token {
        options = options.token(read(path, "token")?);
    } else if let (Ok(user), Ok(password)) =
        (std::env::var("CONTROLLER_NATS_USER"), std::env::var("CONTROLLER_NATS_PASSWORD"))
    {
        options = options.user_and_password(user, password);
    } else if let Ok(token) = std::env::var("CONTROLLER_NATS_TOKEN") {
        options = options.token(token);
    }
    if let Some(path) = &config.authorities {
        options = options.add_root_certificates(path.clone());
    }
    if let Some([certificate, key]) = &config.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}
