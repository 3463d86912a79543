//! Measuring a front on the devices of another run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow, ensure};
use child::network::Network;
use child::onnx;
use child::train::TrainingConfig;
use hardware::log::{Row, Status, Writer};
use hardware::{Measurement, Model};
use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;

use super::{Found, Side};
use crate::evaluate::DevicePool;
use crate::run::temporary_folder;
use crate::strategy::Problem;

/// Networks that are to be measured.
pub struct Measuring<'a> {
    /// The run on whose devices.
    pub side: &'a Side,
    /// Its problem.
    pub problem: &'a Problem,
    /// The networks.
    pub networks: &'a [Found],
    /// The log that what is measured is appended to.
    pub log: &'a Path,
}

/// What an earlier comparison measured, in the order of the log; nothing where there is no log.
///
/// # Errors
/// If the log is damaged.
pub fn measured_before(log: &Path) -> anyhow::Result<Vec<Row>> {
    Ok(if log.exists() { hardware::log::read_whole_lines(log)?.0 } else { Vec::new() })
}

/// Measures networks and appends a row for each to the log as soon as it is known, also where it failed. `tell` hears
/// of each row. Accuracies are left empty: nothing is trained.
///
/// # Errors
/// If a device cannot be used or is not the run's, or the log cannot be written. What was measured is kept.
pub fn measure(measuring: &Measuring, mut tell: impl FnMut(&Row)) -> anyhow::Result<Vec<Row>> {
    let Measuring { side, networks, log, .. } = *measuring;
    let experiment = &side.experiment;
    // Before the models are written: a device that is not there is noticed at once.
    let pool = Arc::new(DevicePool::open(&experiment.devices, experiment.measuring.plan())?);
    let (mut writer, before, _) = match log.exists() {
        true => Writer::append(log)?,
        false => (Writer::create(log)?, Vec::new(), None),
    };
    let scratch = temporary_folder()?;
    // All of them first: a device that is this machine measures while nothing else is computed.
    let models =
        networks.iter().map(|network| model(measuring, network, scratch.path())).collect::<Result<Vec<_>, _>>()?;
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
            if let Some(device) = row.device.as_deref().filter(|_| pool.shares_machine() && !known.is_empty()) {
                let names: Vec<_> = known.iter().copied().collect();
                let path = side.path.display();
                ensure!(
                    known.contains(device),
                    "{path} was measured on {}, but what is here is {device}: compare where --measure finds the device \
                     of that run",
                    names.join(" and ")
                );
            }
            writer.write(&row)?;
            tell(&row);
            rows.push(row);
            start(&mut running);
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(rows)
}

impl Side {
    /// The log, in a folder, of what comparisons measured on this run's devices. Equal experiments share it, whichever
    /// of the two runs they are.
    ///
    /// # Errors
    /// If the experiment cannot be written as TOML; none of ours is such.
    pub fn measured_log(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let fingerprint = self.experiment.fingerprint()?;
        Ok(folder.join(format!("measured-{}.csv", &fingerprint[..8])))
    }
}

/// The model of a network with fresh weights: time and energy do not depend on them.
fn model(measuring: &Measuring, network: &Found, scratch: &Path) -> anyhow::Result<Model> {
    let Measuring { side, problem, .. } = measuring;
    let experiment = &side.experiment;
    let graph = problem.space().graph(&network.architecture, problem.input(), problem.classes())?.pruned();
    // The backend that the run was trained with may not be there, and is not needed.
    let device = experiment.training.backend.device().or_else(|_| TrainingConfig::default().backend.device())?;
    let mut rng = ChaCha8Rng::seed_from_u64(experiment.search.seed);
    let path = scratch.join(format!("{}.onnx", network.evaluation));
    onnx::write(&path, &Network::init(Arc::new(graph), &device, &mut rng), &network.text, experiment.export.into())?;
    Ok(Model::load(network.text.as_str(), &path)?)
}

async fn one(pool: Arc<DevicePool>, model: Model, number: u64) -> Row {
    let mut row = Row::new(number, &model.architecture, Status::Failed);
    row.started_at = Some(Timestamp::now().to_string());
    let started = Instant::now();
    let measured: Result<(Measurement, String), String> =
        pool.measure(model, || true).await.map_err(|error| error.to_string());
    row.measure_seconds = Some((started.elapsed().as_secs_f64() * 1e3).round() / 1e3);
    match measured {
        Ok((measurement, device)) => {
            row.set_measurement(&measurement);
            (row.status, row.device) = (Status::Ok, Some(device));
            let warnings: Vec<_> = measurement.warnings.iter().map(ToString::to_string).collect();
            row.message = (!warnings.is_empty()).then(|| warnings.join("; "));
        }
        Err(reason) => row.message = Some(reason),
    }
    row
}
