//! The runs that a worker knows, and whether it takes part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::{Outfit, Worker, run_of};
use crate::cluster::message::{Announcement, DeviceInfo, Kind, PROTOCOL, Standing};
use crate::cluster::task::{experiment_of, fingerprint};
use crate::evaluate::unlike;

/// All of them by name.
#[derive(Default)]
pub(super) struct Runs {
    known: BTreeMap<String, Known>,
    /// By subject of a job under way, what breaks it off.
    pub breaks: HashMap<String, Arc<AtomicBool>>,
}

struct Known {
    announcement: Option<Announcement>,
    standing: Option<Standing>,
    ready: Option<Arc<Ready>>,
}

/// A run that this worker takes part in.
pub(super) struct Ready {
    pub run: String,
    /// Fingerprint of its task.
    pub task: String,
    pub outfit: Outfit,
    /// Set when the run has ended, or is another one now.
    pub over: AtomicBool,
}

impl Runs {
    /// By run, whether its jobs are taken.
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        let all = self.known.iter();
        all.filter_map(|(run, known)| Some((run.clone(), known.standing.clone()?))).collect()
    }

    /// Number of runs whose jobs are taken.
    pub fn ready(&self) -> usize {
        self.known.values().filter(|known| known.ready.is_some()).count()
    }

    pub fn is_ready(&self, run: &str) -> bool {
        self.known.get(run).is_some_and(|known| known.ready.is_some())
    }

    fn drop_run(&mut self, run: &str) {
        if let Some(Known { ready: Some(ready), .. }) = self.known.remove(run) {
            ready.over.store(true, Ordering::Relaxed);
        }
    }
}

impl Worker {
    pub(super) fn refuse(&self, run: &str, reason: String) {
        self.say(format_args!("run {run}: {reason}"));
        let mut runs = self.runs();
        let known = runs.known.entry(run.to_owned());
        let known = known.or_insert(Known { announcement: None, standing: None, ready: None });
        known.standing = Some(Standing::Refused(reason));
        drop(runs);
        self.report.notify_one();
    }

    /// A run is announced, or announced again. It is prepared once its search reports itself, or a job of it is there.
    pub(super) fn receive_announcement(self: &Arc<Self>, run: &str, announcement: Announcement, is_new: bool) {
        let mut runs = self.runs();
        let same = runs.known.get(run).and_then(|known| known.announcement.as_ref()) == Some(&announcement);
        if same {
            return;
        }
        let was_taken = runs.known.get(run).is_some_and(|known| known.ready.is_some());
        runs.drop_run(run);
        if announcement.ended {
            if was_taken {
                self.say(format_args!("run {run}: its search has ended"));
            }
            return;
        }
        runs.known.insert(run.to_owned(), Known { announcement: Some(announcement), standing: None, ready: None });
        drop(runs);
        let (this, run) = (Arc::clone(self), run.to_owned());
        // A search that is not running may have left jobs behind.
        tokio::spawn(async move {
            if is_new || was_taken || this.has_jobs(&run).await {
                this.receive_alive(&run);
            }
        });
    }

    async fn has_jobs(&self, run: &str) -> bool {
        for kind in Kind::ALL {
            if let Ok((consumer, _)) = self.broker.consumer(run, kind).await
                && consumer.cached_info().num_pending > 0
            {
                return true;
            }
        }
        false
    }

    /// The search of a run is running: takes part in it, unless it does already.
    pub(super) fn receive_alive(self: &Arc<Self>, run: &str) {
        let mut runs = self.runs();
        let Some(known) = runs.known.get_mut(run) else { return };
        let (None, Some(announcement)) = (&known.standing, known.announcement.clone()) else { return };
        known.standing = Some(Standing::Preparing);
        drop(runs);
        let (this, run) = (Arc::clone(self), run.to_owned());
        tokio::spawn(async move {
            let preparing = Arc::clone(&this);
            let (of, name) = (announcement.clone(), run.clone());
            let prepared = tokio::task::spawn_blocking(move || preparing.prepare(&name, &of)).await;
            match prepared.unwrap_or_else(|panic| Err(anyhow::anyhow!("preparing it broke down: {panic}"))) {
                Ok((ready, standing)) => this.take_part(ready, standing, &announcement),
                Err(error) => this.refuse(&run, format!("{error:#}")),
            }
        });
    }

    /// Opens what a run needs.
    fn prepare(&self, run: &str, announcement: &Announcement) -> Result<(Ready, Standing)> {
        let Announcement { protocol, version, task, data, device, .. } = announcement;
        let own = env!("CARGO_PKG_VERSION");
        ensure!(
            *protocol == PROTOCOL && version == own,
            "the search is of version {version}, and this worker of {own}: use the same version of the program on both"
        );
        let settings = &self.settings;
        let (mut measures, mut trains, mut reasons) = (settings.measures, settings.trains, Vec::new());
        if let Some(reason) = self.why_unlike(device.as_ref()) {
            measures = 0;
            reasons.push(format!("it does not measure: {reason}"));
        }
        let mut experiment = experiment_of(task, &settings.own)?;
        if measures == 0 && device.is_some() {
            experiment.devices.clear();
        }
        let folder = settings.folder.join(run);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let outfit = (settings.outfit)(announcement, experiment, &folder)?;
        match &outfit.data {
            Some(own) => ensure!(
                own == data,
                "its data set is another one than the search's, or is stored in another order: copy the search's"
            ),
            None => trains = 0,
        }
        ensure!(measures + trains > 0, "it can neither measure nor train for it: {}", reasons.join("; "));
        let note = (!reasons.is_empty()).then(|| reasons.join("; "));
        let ready = Ready { run: run.to_owned(), task: fingerprint(task), outfit, over: AtomicBool::new(false) };
        Ok((ready, Standing::Ready { measures, trains, note }))
    }

    /// Why this worker's device cannot measure for a run, if it cannot.
    fn why_unlike(&self, wanted: Option<&DeviceInfo>) -> Option<String> {
        let wanted = wanted?;
        if self.settings.measures == 0 {
            return None;
        }
        let Some(own) = &self.settings.device else { return Some("it has no device".to_owned()) };
        if wanted.kind != own.kind {
            return Some(format!("the search measures on {}, not {}", wanted.kind, own.kind));
        }
        if let Some(difference) = unlike(&[("of the search", wanted.description()), ("here", own.description())]) {
            return Some(difference);
        }
        let lacks_energy = wanted.measures_energy && !own.measures_energy;
        lacks_energy.then(|| "its device does not measure energy".to_owned())
    }

    /// Begins to take the jobs of a run.
    fn take_part(self: &Arc<Self>, ready: Ready, standing: Standing, announcement: &Announcement) {
        let Standing::Ready { measures, trains, note } = &standing else { return };
        let (measures, trains, run) = (*measures, *trains, ready.run.clone());
        let reason = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let ready = Arc::new(ready);
        let mut runs = self.runs();
        // Meanwhile it may have ended.
        let known = runs.known.get_mut(&run).filter(|known| known.announcement.as_ref() == Some(announcement));
        let Some(known) = known else { return };
        (known.standing, known.ready) = (Some(standing), Some(Arc::clone(&ready)));
        drop(runs);
        self.say(format_args!("run {run}: takes part{reason}"));
        for (kind, count) in [(Kind::Measure, measures), (Kind::Train, trains)] {
            for _ in 0..count {
                tokio::spawn(Arc::clone(self).pull(Arc::clone(&ready), kind));
            }
        }
        self.report.notify_one();
    }

    /// Breaks a training off, by the subject `nas.RUN.break.ID`.
    pub(super) fn break_off(&self, subject: &str) {
        let (run, id) = (run_of(subject), subject.rsplit('.').next());
        if let (Some(run), Some(id)) = (run, id)
            && let Some(flag) = self.runs().breaks.get(&format!("{run}.{id}"))
        {
            flag.store(true, Ordering::Relaxed);
        }
    }
}
