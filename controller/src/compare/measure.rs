//! Measuring one run's front on the devices of the other run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow, ensure};
use hardware::Model;
use hardware::log::{Row, Status};
use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;

use super::{Found, Pair, Side};
use crate::config::Experiment;
use crate::evaluate::{DevicePool, noting_waits, seconds, set_measured, untrained_model, untrained_network};
use crate::problem::Problem;
use crate::run::{open_log, temporary_folder};

/// Measures networks on the devices of one run and appends a row for each to a log at once, also after a failure.
/// `observe` receives each row. Accuracies are left empty: nothing is trained.
///
/// # Errors
/// If a device cannot be used or is not the run's, or the log cannot be written. Finished measurements are kept.
pub fn measure(
    pair: &Pair,
    here: usize,
    networks: &[Found],
    log: &Path,
    mut observe: impl FnMut(&Row),
) -> anyhow::Result<Vec<Row>> {
    let (side, problem) = (&pair.sides[here], &pair.problems[here]);
    let experiment = &side.experiment;
    let devices = experiment.devices.iter().map(|(name, device)| (name, &device.options));
    // Before the models are written, so that a missing device is noticed at once.
    let pool = Arc::new(DevicePool::open(devices, experiment.measuring.clone())?);
    let (mut writer, before, _) = open_log(log)?;
    let scratch = temporary_folder()?;
    // All of them first: a device that is this machine measures while nothing else is computed.
    let models = networks.iter().map(|network| model(experiment, problem, network, scratch.path()));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let known: BTreeSet<&str> = side.devices();
    let mut waiting = models.into_iter().zip(before.len() as u64..);
    let mut rows = Vec::new();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads that measure")?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        let mut start = |running: &mut JoinSet<_>| {
            if let Some((model, number)) = waiting.next() {
                running.spawn(one(Arc::clone(&pool), model, number));
            }
        };
        (0..experiment.devices.len()).for_each(|_| start(&mut running));
        while let Some(ended) = running.join_next().await {
            let row = ended.map_err(|error| anyhow!("the measuring thread failed: {error}"))?;
            if let Some(device) = row.device.as_deref().filter(|_| pool.shares_machine && !known.is_empty()) {
                let names = known.iter().copied().collect::<Vec<_>>().join(" and ");
                let path = side.path.display();
                ensure!(
                    known.contains(device),
                    "{path} was measured on {names}, but this machine is {device}: compare where --measure finds the \
                     device of that run"
                );
            }
            writer.write(&row)?;
            observe(&row);
            rows.push(row);
            start(&mut running);
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(rows)
}

impl Side {
    /// The log, in a folder, of measurements by comparisons on this run's devices. Equal experiments share it.
    pub fn measured_log(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let fingerprint = self.experiment.fingerprint()?;
        Ok(folder.join(format!("measured-{}.csv", &fingerprint[..8])))
    }
}

fn model(experiment: &Experiment, problem: &Problem, network: &Found, scratch: &Path) -> anyhow::Result<Model> {
    let graph = problem.graph(&network.architecture)?.pruned();
    // The backend that trained the run may be missing, and is not needed.
    let mut rng = ChaCha8Rng::seed_from_u64(experiment.search.seed);
    let path = scratch.join(format!("{}.onnx", network.evaluation));
    untrained_model(&untrained_network(graph, &mut rng)?, &network.text, None, &path, experiment.export)
}

async fn one(pool: Arc<DevicePool>, model: Model, number: u64) -> Row {
    let mut row = Row::new(number, &model.architecture, Status::Failed);
    row.started_at = Some(Timestamp::now().to_string());
    let started = Instant::now();
    let measured = pool.measure(model, noting_waits()).await;
    row.measure_seconds = Some(seconds(started));
    let taken = match measured {
        Ok((measurement, device)) => {
            let taken = set_measured(&mut row, &measurement, pool.statistic(), device);
            taken.map_err(|error| error.to_string())
        }
        Err(reason) => Err(reason.to_string()),
    };
    match taken {
        Ok(()) => row.status = Status::Ok,
        Err(reason) => row.message = Some(reason),
    }
    row
}
