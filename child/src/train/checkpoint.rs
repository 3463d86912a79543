//! A training on the disk, from which one that was broken off continues.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Trainer;
use crate::backend::Processor;
use crate::engine::Engine;
use crate::network::Network;

/// The file that a training is saved to after its epochs
/// ([`TrainingConfig::checkpoint_every`](super::TrainingConfig::checkpoint_every)), and continues from.
///
/// It holds the weights and their momentum, 8 bytes for each parameter, and the generators. Each save replaces the one
/// before in one step. The file stays after the training: [`remove`](Self::remove) it once the result is on the disk, so
/// that a kill in between costs the last epoch alone.
#[derive(Debug, Clone, Copy)]
pub struct TrainingCheckpoint<'a> {
    /// The file, in a folder that exists. No two trainings share one.
    pub path: &'a Path,
    /// What the training depends on besides the network, the recipe and the generator that [`Trainer::train`] receives,
    /// such as a fingerprint of the images. A file with another text belongs to another training.
    pub identity: &'a str,
    /// Time between two saves, at least: the epochs of a small network can be shorter than the disk takes for one.
    pub interval: Duration,
}

/// A training that continues from its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Continued {
    /// Epochs that were finished before.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Seconds that the finished epochs took.
    pub seconds: f64,
}

/// A training between two epochs, but for its engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Finished epochs.
    pub(super) epoch: usize,
    /// Seconds that they took.
    pub(super) seconds: f64,
    pub(super) rng: ChaCha8Rng,
    /// The generator of drop-path, where the recipe has it.
    pub(super) drop_path: Option<ChaCha8Rng>,
}

/// A training as it was saved, with its engine as it was then.
pub(super) struct Saved {
    pub(super) engine: Box<dyn Engine>,
    pub(super) progress: Progress,
}

/// The first line of a file after its checksum; weights and momentum follow.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Digest of everything that the training depends on, but for the engine.
    training: String,
    engine: String,
    progress: Progress,
}

/// Begins every file, and names the version of its form.
const MAGIC: &[u8] = b"training checkpoint 1\n";
/// Bytes of the checksum, which covers everything after it.
const CHECKSUM: usize = 32;

/// Saves one training, and finds the state that was saved before.
pub(super) struct Saver<'a> {
    place: TrainingCheckpoint<'a>,
    training: String,
    engine: String,
    epochs: usize,
    every: usize,
    /// Time of the last save, or of the begin.
    last: Instant,
    /// Epoch of the last save; 0 before the first.
    saved: usize,
    has_failed: bool,
}

impl TrainingCheckpoint<'_> {
    /// Removes the file, if there is one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self) -> std::io::Result<()> {
        for path in [self.path, &temporary(self.path)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Saver<'a> {
    /// For a training that has not begun: of a network with its first weights, from a generator.
    pub(super) fn new(
        place: TrainingCheckpoint<'a>,
        trainer: &Trainer,
        network: &Network,
        rng: &ChaCha8Rng,
        engine: &dyn Engine,
    ) -> Self {
        let Trainer { config, processor, .. } = trainer;
        let training = digest(place.identity, trainer, network, rng);
        let engine = engine_of(processor, engine);
        let (epochs, every) = (config.epochs, config.checkpoint_every);
        Self { place, training, engine, epochs, every, last: Instant::now(), saved: 0, has_failed: false }
    }

    /// The saved training; `None` if none was saved. `network` has the training's graph,
    /// and `engine_for` makes its engine for other weights.
    ///
    /// # Errors
    /// A message with the reason why the training begins from its start, if there is a file that it cannot use.
    pub(super) fn resume(
        &self,
        network: &Network,
        engine_for: impl Fn(&Network) -> Box<dyn Engine>,
    ) -> Result<Option<Saved>, String> {
        let path = self.place.path;
        let file = match std::fs::read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.useless(&format!("cannot be read ({error})"))),
        };
        let (header, numbers) =
            parse(&file).ok_or_else(|| self.useless("is damaged or of another version of the program"))?;
        if header.training != self.training {
            return Err(self.useless("belongs to another training"));
        }
        if header.engine != self.engine {
            let reason = format!("is of the engine {}, and {} rounds differently", header.engine, self.engine);
            return Err(self.useless(&reason));
        }
        let misfit = || self.useless("does not fit the network");
        let (network, momentum) = with_weights(network, numbers).ok_or_else(misfit)?;
        let mut engine = engine_for(&network);
        let is_between_epochs = (1..self.epochs).contains(&header.progress.epoch);
        if !is_between_epochs || !engine.set_momentum(momentum) {
            return Err(misfit());
        }
        Ok(Some(Saved { engine, progress: header.progress }))
    }

    fn useless(&self, reason: &str) -> String {
        format!("the training begins from its start: its checkpoint {} {reason}", self.place.path.display())
    }

    /// Whether the training is saved after an epoch. After the last, its result follows at once.
    pub(super) fn is_due(&self, epoch: usize) -> bool {
        let is_named = epoch < self.epochs && epoch.checked_rem(self.every) == Some(0);
        is_named && self.last.elapsed() >= self.place.interval
    }

    /// Whether a training that is stopped after an epoch has finished more than is saved.
    pub(super) fn is_behind(&self, epoch: usize) -> bool {
        self.every > 0 && self.saved != epoch
    }

    /// Saves the training in place of what was saved before.
    ///
    /// # Errors
    /// A message, the first time that it fails. The training loses nothing by it but its safety.
    pub(super) fn save(&mut self, engine: &mut dyn Engine, progress: Progress) -> Result<(), String> {
        let Some(momentum) = engine.momentum() else { return Ok(()) };
        let path = self.place.path;
        let epoch = progress.epoch;
        let header = Header { training: self.training.clone(), engine: self.engine.clone(), progress };
        let written = content(&header, &engine.network(), &momentum).and_then(|content| write(path, &content));
        self.last = Instant::now();
        self.saved = epoch;
        match written {
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                let path = path.display();
                Err(format!(
                    "a training goes on unsaved, and a kill would cost its epochs: cannot write {path}: {error}"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// An engine by what its bits depend on. GPUs are alike: a run may move to others (`training.devices`).
fn engine_of(processor: &Processor, engine: &dyn Engine) -> String {
    let name = engine.name();
    match name.split_once(" (") {
        Some((backend, _)) if processor.is_gpu() => format!("{backend} (gpu)"),
        _ => name,
    }
}

/// Everything that a training depends on, but for its engine and the pixels, which the mean and the deviation of the
/// images and the caller's text stand for.
fn digest(identity: &str, trainer: &Trainer, network: &Network, rng: &ChaCha8Rng) -> String {
    let Trainer { data, normalisation, config, .. } = trainer;
    let labels: Vec<u16> = data.train.labels().collect();
    let generator = (rng.get_seed(), rng.get_stream(), rng.get_word_pos());
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", (identity, config.recipe(), normalisation, network.graph(), generator)));
    hash.update(bytemuck::cast_slice::<u16, u8>(&labels));
    for list in network.weights.iter().flat_map(|weights| weights.lists()) {
        hash.update(bytemuck::cast_slice::<f32, u8>(list));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a file after [`MAGIC`] and the checksum.
fn content(header: &Header, network: &Network, momentum: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = serde_json::to_vec(header)?;
    content.push(b'\n');
    for list in network.weights.iter().flat_map(|weights| weights.lists()) {
        content.extend_from_slice(bytemuck::cast_slice(list));
    }
    content.extend_from_slice(momentum);
    Ok(content)
}

/// The header of a file that is whole, and the bytes of weights and momentum.
fn parse(file: &[u8]) -> Option<(Header, &[u8])> {
    let (checksum, content) = file.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM)?;
    if Sha256::digest(content).as_slice() != checksum {
        return None;
    }
    let (header, numbers) = content.split_at_checked(content.iter().position(|byte| *byte == b'\n')?)?;
    Some((serde_json::from_slice(header).ok()?, &numbers[1..]))
}

/// The network with other weights, from the first of some bytes, and the rest of them. `None` if they are too few.
fn with_weights<'a>(network: &Network, mut bytes: &'a [u8]) -> Option<(Network, &'a [u8])> {
    let mut network = network.clone();
    for list in network.weights.iter_mut().flat_map(|weights| weights.lists_mut()) {
        let list: &mut [u8] = bytemuck::cast_slice_mut(list);
        let (of_list, rest) = bytes.split_at_checked(list.len())?;
        list.copy_from_slice(of_list);
        bytes = rest;
    }
    Some((network, bytes))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Writes a file to a temporary name and renames it: a reader finds the old content or the new one. After a power
/// failure that may be the old one, which costs an epoch more.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = temporary(path);
    let checksum = Sha256::digest(content);
    let written = File::create(&temporary)
        .and_then(|mut file| {
            [MAGIC, checksum.as_slice(), content].into_iter().try_for_each(|part| file.write_all(part))?;
            file.sync_data()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // Half a file would only take room on a disk that may be full.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests;
