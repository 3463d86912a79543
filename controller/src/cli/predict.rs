//! `controller predict RUN`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use child::space::{Architecture, SearchSpace};
use clap::Args;
use serde_json::{Value, json};

use super::export::{check_writable, write_output};
use super::options::local_path;
use crate::history::History;
use crate::predict::{self, Prediction, Predictor};
use crate::problem::Problem;
use crate::report::tidy;
use crate::run::{Imported, Recorded};
use crate::terminal::{note, say};

/// Predict time, energy and accuracy of networks from what a run measured. Nothing is evaluated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller predict runs/short '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
  controller predict runs/short --file architectures.txt
  controller predict runs/tx2-and-ncs --target ncs --all --csv ncs.csv

Values are predictions of a surrogate fitted to the run's measurements; ± is one standard deviation of the prediction, \
without the noise of a measurement. In the CSV, `time_ms_low` and `time_ms_high` are one standard deviation less and more, and \
`time_ms_measured` is what was measured. Ten networks measured on a board are enough to order the others by their time: \
`controller extend RUN --experiment BOARD.toml --measure 10`.")]
pub(super) struct Predict {
    /// Run folder, also during the search.
    #[arg(value_parser = local_path())]
    run: PathBuf,
    /// Architectures in the text form of the run's search space.
    architectures: Vec<String>,
    /// File with an architecture a line, or CSV with a column `architecture`.
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    file: Option<PathBuf>,
    /// Every architecture of the space.
    #[arg(long, conflicts_with_all = ["architectures", "file"])]
    all: bool,
    /// The target, of a run that has several.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Write the predictions into this file instead of the terminal.
    #[arg(long, value_name = "FILE.csv", value_parser = local_path())]
    csv: Option<PathBuf>,
    /// For other programs.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

/// Most architectures of `--all`.
const MOST: u128 = 1_000_000;
/// Architectures that are predicted at a time: their covariances with all measurements are in memory.
const AT_A_TIME: usize = 2000;

impl Predict {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.csv.as_deref().map_or(Ok(()), check_writable)?;
        let recorded = Recorded::read(&self.run)?.of_one_target(self.target.as_deref())?;
        let problem = &recorded.problem;
        let mut history = History::of_rows(problem, &recorded.rows)?;
        history.import(&Imported::imports(&self.run, problem)?)?;
        let architectures = self.architectures(problem)?;
        let of_run = || format!("{} cannot be predicted from", self.run.display());
        let mut predictor = Predictor::new(problem, &history).with_context(of_run)?;
        for objective in predictor.unknown() {
            note(format_args!("{objective} is not predicted: fewer than {} networks have one", Predictor::LEAST));
        }
        let mut predictions = Vec::new();
        for some in architectures.chunks(AT_A_TIME) {
            predictions.extend(predictor.predict(some)?);
        }
        if let Some(path) = &self.csv {
            write_output(path, &predict::csv(problem, &predictions)?)?;
            note(format_args!("{} networks: {}", predictions.len(), path.display()));
        } else if self.json {
            say(format_args!("{:#}", json(problem, &predictions)?))?;
        } else {
            say(predict::table(problem, &predictions)?.trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The architectures that are asked for.
    fn architectures(&self, problem: &Problem) -> anyhow::Result<Vec<Architecture>> {
        let space = problem.space();
        if self.all {
            return predict::all(space, MOST).with_context(|| {
                format!("--all: the space has {} architectures, and {MOST} are the most: name a --file", space.size())
            });
        }
        let mut found = Vec::new();
        for text in &self.architectures {
            found.push(space.parse(text).with_context(|| format!("`{text}`"))?);
        }
        if let Some(path) = &self.file {
            found.extend(listed(path, space)?);
        }
        ensure!(!found.is_empty(), "no architecture to predict: name some, a --file of them, or --all");
        Ok(found)
    }
}

/// The architectures of a file: one a line, or the column `architecture` of CSV.
fn listed(path: &Path, space: &dyn SearchSpace) -> anyhow::Result<Vec<Architecture>> {
    const COLUMN: &str = "architecture";
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    // Spreadsheets write a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let has_column = |sign: &u8| header.split(*sign as char).any(|cell| cell.trim().trim_matches('"') == COLUMN);
    let parse = |line: u64, field: &str| {
        ensure!(!field.is_empty(), "{shown}, line {line}: no architecture");
        space.parse(field).with_context(|| format!("{shown}, line {line}: `{field}`"))
    };
    let found: Vec<Architecture> = if let Some(separator) = b",;\t".iter().find(|sign| has_column(sign)) {
        let mut reader = csv::ReaderBuilder::new().delimiter(*separator).from_reader(text.as_bytes());
        let column = reader.headers()?.iter().position(|cell| cell.trim() == COLUMN).unwrap_or_default();
        let of_record = |record: csv::Result<csv::StringRecord>| {
            let record = record.with_context(|| format!("{shown} is damaged"))?;
            parse(record.position().map_or(0, csv::Position::line), record.get(column).unwrap_or_default().trim())
        };
        reader.records().map(of_record).collect::<anyhow::Result<_>>()?
    } else {
        let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim().trim_matches('"')));
        let lines = lines.filter(|(_, text)| !text.is_empty());
        lines.map(|(line, text)| parse(line, text)).collect::<anyhow::Result<_>>()?
    };
    ensure!(!found.is_empty(), "{shown} has no architecture: write one a line, or CSV with a column `{COLUMN}`");
    Ok(found)
}

fn json(problem: &Problem, predictions: &[Prediction]) -> anyhow::Result<Value> {
    let mut networks = Vec::new();
    for Prediction { architecture, expected, known } in predictions {
        let mut objectives = serde_json::Map::new();
        for (place, (objective, expected)) in problem.objectives().iter().zip(expected).enumerate() {
            let measured = known.as_ref().and_then(|known| known.values[place]);
            let measured = measured.map(|value| tidy(objective, value));
            objectives.insert(objective.to_string(), json!({ "expected": expected, "measured": measured }));
        }
        networks.push(json!({
            "architecture": problem.space().format(architecture)?,
            "evaluation": known.as_ref().map(|known| known.number),
            "objectives": objectives,
        }));
    }
    Ok(json!({ "objectives": problem.objectives(), "networks": networks }))
}
