//! The rows and models of an earlier run in the folder of one that extends it.

use std::path::Path;

use anyhow::{Context as _, ensure};
use hardware::log::{Row, Writer, sync_folder_of};

use crate::config::{Experiment, ExtendedConfig};
use crate::run::{JOURNAL, MODELS, Recorded, RunFolder, logged_rows};
use crate::terminal::note;

/// Writes the rows of the earlier run into the folder of one that extends it, and copies its models, unless they are there. A
/// search that was killed before goes on from here.
///
/// # Errors
/// If the earlier run cannot be read any more.
pub(super) fn inherit(folder: &RunFolder, from: &ExtendedConfig) -> anyhow::Result<()> {
    let journal = folder.join(JOURNAL);
    if journal.exists() && logged_rows(&journal)?.len() as u64 >= from.rows {
        return Ok(());
    }
    let run = Path::new(&from.run);
    let rows = Recorded::read(run).and_then(|before| with_targets(&before));
    let rows = rows.with_context(|| format!("the rows of {} are missing in {}", from.run, folder.path().display()))?;
    ensure!(rows.len() as u64 >= from.rows, "{} has fewer rows than when it was extended", from.run);
    // All of them or none: a part would pass for a journal.
    let unfinished = journal.with_extension("unfinished");
    let mut writer = Writer::create(&unfinished)?;
    rows.iter().take(from.rows as usize).try_for_each(|row| writer.write(row))?;
    drop(writer);
    for entry in std::fs::read_dir(run.join(MODELS)).into_iter().flatten().flatten() {
        let copied = std::fs::copy(entry.path(), folder.join(MODELS).join(entry.file_name()));
        // The models of an earlier run are of use, but not needed.
        if let Err(error) = copied {
            note(format_args!("warning: {} cannot be copied: {error}", entry.path().display()));
        }
    }
    std::fs::rename(&unfinished, &journal)
        .and_then(|()| sync_folder_of(&journal))
        .with_context(|| format!("cannot write {}", journal.display()))
}

/// The name of the only target of a run: that of its device, or `log`.
pub(super) fn name_of_only(experiment: &Experiment) -> anyhow::Result<String> {
    if experiment.replay.is_some() {
        return Ok("log".to_owned());
    }
    let mut devices = experiment.devices.iter();
    let (name, device) = devices.next().context("the run has no device")?;
    Ok(device.target.clone().unwrap_or_else(|| name.clone()))
}

/// The rows of a run with the target of each measurement. A row of an earlier version that measured and trained at once
/// becomes one for each.
pub(super) fn with_targets(before: &Recorded) -> anyhow::Result<Vec<Row>> {
    if before.problem.targets().are_several() {
        return Ok(before.rows.clone());
    }
    let name = name_of_only(&before.experiment)?;
    let mut rows = Vec::new();
    for row in &before.rows {
        let is_measured = row.time_ms.is_some() || row.energy_mj.is_some();
        if !is_measured {
            rows.push(row.clone());
            continue;
        }
        let (measured, trained) = row.clone().apart();
        rows.push(Row { target: Some(name.clone()), ..measured });
        rows.extend(trained);
    }
    Ok(rows)
}
