//! The searching side: jobs are handed to workers, and their answers awaited.

mod beat;
mod identity;
mod inbox;
mod queued;
mod remote;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::{Notify, oneshot, watch};

use super::broker::{Broker, JOBS};
use super::message::{Announcement, JobId, Kind, PROTOCOL, written};
use super::roster::Roster;
use super::show;
use super::task::fingerprint;
use crate::config::ClusterConfig;
use crate::problem::Problem;
use crate::stop::Stop;
use beat::Beat;
use inbox::{Load, Shared, State, follow_progress, listen, receive};

pub(crate) use identity::Identity;
pub(crate) use remote::{Remote, model_name, saved_name};

/// Workers report every few seconds: they count as gone after this time at the earliest.
const LEAST_SILENCE: Duration = Duration::from_secs(12);

/// A connection of a search, before its run is announced.
pub(crate) struct Link {
    broker: Broker,
    config: ClusterConfig,
    pub identity: Identity,
    shared: Arc<Shared>,
}

impl Link {
    /// Connects, makes what is missing on the server, and listens to the workers.
    ///
    /// # Errors
    /// If the server cannot be used.
    pub async fn open(config: &ClusterConfig, identity: Identity, stop: &Stop, quiet: bool) -> Result<Self> {
        let broker = Broker::connect(config, &format!("search {}", identity.run), stop).await?;
        broker.make_streams().await?;
        let silence = Duration::from_secs_f64(config.silence_s).max(LEAST_SILENCE);
        let state = State {
            roster: Roster::new(identity.run.clone(), silence),
            waiting: HashMap::new(),
            early: HashMap::new(),
            queued: HashSet::new(),
            left: HashMap::new(),
            blamed: HashMap::new(),
            load: Load::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changes: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            changed: Notify::new(),
            losses: AtomicUsize::new(0),
            lost: Notify::new(),
            quiet,
        });
        tokio::spawn(listen(broker.clone(), Arc::clone(&shared)));
        Ok(Self { broker, config: config.clone(), identity, shared })
    }

    /// Waits for the first worker that measures, and takes its device for that of the run.
    pub async fn find_device(&mut self) {
        /// Time in which workers that are there answer.
        const AT_ONCE: Duration = Duration::from_secs(1);
        let (began, mut is_shown) = (Instant::now(), false);
        while self.identity.device.is_none() {
            let found = self.shared.state().roster.workers().find_map(|worker| worker.device.clone());
            self.identity.device = found;
            if self.identity.device.is_none() {
                if began.elapsed() > AT_ONCE && !std::mem::replace(&mut is_shown, true) {
                    let url = self.broker.url();
                    show(format_args!(
                        "waiting for a worker that measures: `controller worker --cluster {url}` starts one"
                    ));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Announces the run; what is on the server of an earlier part of it is found.
    pub async fn announce(self, task: String, data: Fixed, problem: Arc<Problem>, stop: &Stop) -> Option<Arc<Remote>> {
        let Self { broker, config, identity: Identity { run, device }, shared } = self;
        let silence = Duration::from_secs_f64(config.silence_s);
        for kind in Kind::ALL {
            broker.make_consumer(&run, kind, silence).await?;
        }
        // First the jobs, then the answers: what is finished in between is among the answers.
        let queued = broker.subjects(JOBS, &format!("nas.{run}.job.>")).await?;
        let queued = queued.iter().filter_map(|subject| JobId::read(subject.rsplit('.').next()?));
        shared.state().queued = queued.collect();
        let (caught_up, is_caught_up) = oneshot::channel();
        tokio::spawn(receive(broker.clone(), run.clone(), Arc::clone(&shared), caught_up));
        tokio::spawn(follow_progress(broker.clone(), run.clone(), Arc::clone(&shared)));
        let announcement = Announcement {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data: data.fingerprint,
            deployment: data.deployment,
            device,
            ended: false,
            task,
        };
        is_caught_up.await.ok()?;
        let goes_on = !shared.state().early.is_empty() || !shared.state().queued.is_empty();
        if goes_on {
            // A job that has failed on one worker is given to another one, if there is one.
            let reports = async {
                while shared.state().roster.count() == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), reports).await;
        }
        let task = fingerprint(&announcement.task);
        let announcement = written(&announcement).ok()?;
        broker.replace("announce the run", &format!("nas.{run}.run"), announcement.clone()).await?;
        let (of_beat, beating, beside) = (broker.clone(), run.clone(), Arc::clone(&shared));
        let beat = Beat { broker: of_beat, run: beating, announcement, silence, shared: beside };
        Some(Arc::new(Remote {
            task,
            beat: tokio::spawn(beat.keep_up()),
            broker,
            run,
            shared,
            nonce: rand::random(),
            problem,
            tries: config.tries,
            local: None,
            busy: [AtomicUsize::new(0), AtomicUsize::new(0)],
            forgetting: watch::Sender::new(0),
            stop: stop.clone(),
        }))
    }
}

/// What the networks of a run are trained on.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// Fingerprint of the images, or of the log that answers.
    pub fingerprint: String,
    /// How images become a network's input; `None` where a log answers.
    pub deployment: Option<child::data::Deployment>,
}
