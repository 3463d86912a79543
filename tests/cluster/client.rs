//! A client of the server, without the code of the program.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context, stream};
use async_nats::{Client as Connection, ConnectOptions};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Streams of jobs and answers, which a search leaves empty.
pub const EMPTIED: [&str; 2] = ["NAS_JOBS", "NAS_RESULTS"];

/// A connection.
pub struct Client {
    runtime: Runtime,
    connection: Connection,
    jetstream: Context,
}

/// Messages that were received, with their subjects.
pub type Received = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Those that were received so far.
pub fn so_far(received: &Received) -> Vec<(String, Vec<u8>)> {
    received.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Client {
    pub fn new(url: &str) -> Self {
        Self::with(url, ConnectOptions::new())
    }

    pub fn with(url: &str, options: ConnectOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (connection, mut jetstream) = runtime.block_on(async {
            let connection = options.connect(url).await.unwrap();
            (connection.clone(), jetstream::new(connection))
        });
        // What a user may not do gets no answer.
        jetstream.set_timeout(Duration::from_secs(1));
        Self { runtime, connection, jetstream }
    }

    /// Sends a message that no stream has to keep.
    pub fn send(&self, subject: &str, payload: impl Into<Vec<u8>>) {
        let payload: Vec<u8> = payload.into();
        self.runtime.block_on(self.connection.publish(subject.to_owned(), payload.into())).unwrap();
        self.runtime.block_on(self.connection.flush()).unwrap();
    }

    /// Stores a message in the stream of its subject.
    pub fn store(&self, subject: &str, payload: impl Into<Vec<u8>>) -> Result<(), String> {
        let payload: Vec<u8> = payload.into();
        self.runtime.block_on(async {
            let sent = self.jetstream.publish(subject.to_owned(), payload.into()).await;
            sent.map_err(|error| error.to_string())?.await.map(drop).map_err(|error| error.to_string())
        })
    }

    /// Collects all messages of some subjects from now on.
    pub fn listen(&self, subject: &str) -> Received {
        let received = Received::default();
        let mut messages = self.runtime.block_on(self.connection.subscribe(subject.to_owned())).unwrap();
        self.runtime.block_on(self.connection.flush()).unwrap();
        let into = Arc::clone(&received);
        self.runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                let (subject, payload) = (message.subject.to_string(), message.payload.to_vec());
                into.lock().unwrap_or_else(PoisonError::into_inner).push((subject, payload));
            }
        });
        received
    }

    fn stream(&self, name: &str) -> stream::Stream {
        self.runtime.block_on(self.jetstream.get_stream(name)).unwrap()
    }

    /// Subjects with messages in a stream.
    pub fn subjects(&self, name: &str) -> Vec<String> {
        let stream = self.stream(name);
        self.runtime.block_on(async {
            let found = stream.info_with_subjects(">").await.unwrap();
            found.map_ok(|(subject, _)| subject).try_collect().await.unwrap()
        })
    }

    /// The last message of a subject.
    pub fn last(&self, stream: &str, subject: &str) -> Value {
        serde_json::from_slice(&self.last_bytes(stream, subject)).unwrap()
    }

    pub fn last_bytes(&self, stream: &str, subject: &str) -> Vec<u8> {
        let stream = self.stream(stream);
        self.runtime.block_on(stream.get_last_raw_message_by_subject(subject)).unwrap().payload.to_vec()
    }

    /// Names of objects: models and saved trainings.
    pub fn objects(&self) -> Vec<String> {
        self.runtime.block_on(async {
            let store = self.jetstream.get_object_store("nas").await.unwrap();
            store.list().await.unwrap().map_ok(|object| object.name).try_collect().await.unwrap()
        })
    }

    /// Consumers of a stream that have a name.
    pub fn consumers(&self, name: &str) -> Vec<String> {
        let stream = self.stream(name);
        self.runtime.block_on(stream.consumer_names().try_collect()).unwrap()
    }

    /// The runs that were announced and have not ended.
    pub fn runs(&self) -> Vec<String> {
        let of = |subject: &String| subject.split('.').nth(1).unwrap().to_owned();
        let is_open = |subject: &&String| self.last("NAS_RUNS", subject)["ended"] == false;
        self.subjects("NAS_RUNS").iter().filter(is_open).map(of).collect()
    }

    /// Waits until a search has announced its run.
    pub fn announced_run(&self) -> String {
        let mut found = None;
        wait_until("a run is announced", || {
            let has_stream = self.runtime.block_on(self.jetstream.get_stream("NAS_RUNS")).is_ok();
            found = has_stream.then(|| self.runs().pop()).flatten();
            found.is_some()
        });
        found.unwrap()
    }

    /// Asserts that searches have left nothing behind but the sign of their ends.
    pub fn assert_clean(&self) {
        for stream in EMPTIED {
            assert_eq!(self.subjects(stream), [""; 0], "{stream}");
            assert_eq!(self.consumers(stream).iter().filter(|name| name.len() > 16 && &name[16..17] == "-").count(), 0);
        }
        assert_eq!(self.objects(), [""; 0]);
        assert_eq!(self.runs(), [""; 0]);
        let chunks = self.subjects("OBJ_nas").into_iter().filter(|subject| subject.starts_with("$O.nas.C."));
        assert_eq!(chunks.count(), 0);
    }

    /// Runs something with the context of streams.
    pub fn streams<T, F: Future<Output = T>>(&self, act: impl FnOnce(Context) -> F) -> T {
        self.runtime.block_on(act(self.jetstream.clone()))
    }
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
