//! What a run took over from other logs: `imported.csv` in its folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hardware::log::{Row, Status};
use serde::{Deserialize, Serialize};

use super::write_atomically;
use crate::history::{Import, candidate_of, evaluation_of};
use crate::problem::Problem;

/// Its name in the run folder.
pub(super) const IMPORTED: &str = "imported.csv";

/// The header: the fields of an [`Imported`] in their order.
const COLUMNS: [&str; 13] = [
    "architecture",
    "accuracy",
    "time_ms",
    "time_ms_std",
    "energy_mj",
    "energy_mj_std",
    "device",
    "epochs",
    "after",
    "imported_at",
    "source",
    "line",
    "sha256",
];

/// A row of another log, as far as it can be compared with the run's own, and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Text of the architecture, as the run's space writes it.
    pub architecture: String,
    /// Validation accuracy as a fraction, 0 to 1.
    pub accuracy: Option<f64>,
    /// Mean time of one inference, in ms.
    pub time_ms: Option<f64>,
    /// Standard deviation of the time, in ms.
    pub time_ms_std: Option<f64>,
    /// Energy of one inference, in mJ.
    pub energy_mj: Option<f64>,
    /// Standard deviation of the energy, in mJ.
    pub energy_mj_std: Option<f64>,
    /// What the log says that it was measured on.
    pub device: Option<String>,
    /// Epochs of training, if the log states them.
    pub epochs: Option<u64>,
    /// Evaluations that the run had: [`Import::after`].
    pub after: u64,
    /// When it was imported, RFC 3339.
    pub imported_at: String,
    /// Path of the log, absolute.
    pub source: String,
    /// Line in it, the header being line 1.
    pub line: u64,
    /// Hash of the whole log as it was then, in hexadecimal.
    pub sha256: String,
}

/// An `imported.csv` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImportedError {
    /// It cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// It holds what is never written there.
    #[error(
        "{path}:{line}: {problem}: the file is damaged, or was edited; mend that line, or remove the file and import again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, the header being line 1.
        line: u64,
        /// How that shows.
        problem: String,
    },
}

impl Imported {
    /// Everything that was imported into the run of a folder, in its order; nothing where there is no such file.
    ///
    /// # Errors
    /// With file and line, if it holds what is never written there.
    pub fn read(folder: &Path) -> Result<Vec<Self>, ImportedError> {
        let rows = read(&folder.join(IMPORTED))?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The same as a search for a problem takes it.
    ///
    /// # Errors
    /// As [`read`](Self::read), also where an architecture is not of the problem's space.
    pub fn imports(folder: &Path, problem: &Problem) -> Result<Vec<Import>, ImportedError> {
        let path = folder.join(IMPORTED);
        let import = |(line, row): (u64, Self)| {
            let refused = |error: anyhow::Error| ImportedError::Damaged {
                path: path.clone(),
                line,
                // The innermost reason: what is around it speaks of a journal.
                problem: format!("column \"architecture\": {}", error.root_cause()),
            };
            let after = row.after;
            let row = row.into_row();
            let candidate = candidate_of(problem, &row).map_err(refused)?;
            Ok(Import { evaluation: evaluation_of(problem, candidate, &row).map_err(refused)?, after })
        };
        read(&path)?.into_iter().map(import).collect()
    }

    /// Writes all that was imported into the run of a folder in place of what is there.
    ///
    /// # Errors
    /// If it cannot be written; what was there is kept then.
    pub fn write(folder: &Path, rows: &[Self]) -> Result<(), ImportedError> {
        let path = folder.join(IMPORTED);
        let failed = |source| ImportedError::Io { action: "write", path: path.clone(), source };
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| failed(error.into()))?;
        let content = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        write_atomically(&path, &content).map_err(failed)
    }

    /// Whether it tells anything that a search could minimise.
    pub fn tells_something(&self) -> bool {
        self.accuracy.is_some() || self.time_ms.is_some() || self.energy_mj.is_some()
    }

    fn into_row(self) -> Row {
        Row {
            accuracy: self.accuracy,
            time_ms: self.time_ms,
            time_ms_std: self.time_ms_std,
            energy_mj: self.energy_mj,
            energy_mj_std: self.energy_mj_std,
            ..Row::new(0, self.architecture, Status::Ok)
        }
    }

    /// Checks what its columns may hold.
    fn check(&self) -> Result<(), String> {
        let fraction = |value: f64| (0.0..=1.0).contains(&value);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        type Allowed = fn(f64) -> bool;
        let columns: [(&str, Option<f64>, Allowed, &str); 5] = [
            ("accuracy", self.accuracy, fraction, "between 0 and 1"),
            ("time_ms", self.time_ms, positive, "above zero"),
            ("time_ms_std", self.time_ms_std, not_negative, "zero or above"),
            ("energy_mj", self.energy_mj, not_negative, "zero or above"),
            ("energy_mj_std", self.energy_mj_std, not_negative, "zero or above"),
        ];
        for (name, value, allowed, range) in columns {
            if let Some(value) = value.filter(|value| !allowed(*value)) {
                return Err(format!("column {name:?}: {value} is not a number {range}"));
            }
        }
        if !self.tells_something() {
            return Err("the row has neither accuracy nor time nor energy".to_owned());
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("column \"sha256\": {:?} is not 64 hexadecimal digits", self.sha256));
        }
        if self.imported_at.parse::<jiff::Timestamp>().is_err() {
            return Err(format!("column \"imported_at\": {:?} is not a time (RFC 3339)", self.imported_at));
        }
        Ok(())
    }
}

/// The rows with their lines.
fn read(path: &Path) -> Result<Vec<(u64, Imported)>, ImportedError> {
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ImportedError::Io { action: "read", path: path.to_owned(), source }),
    };
    let damaged = |line: u64, problem: String| ImportedError::Damaged { path: path.to_owned(), line, problem };
    let broken = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        damaged(line, told(&error))
    };
    let mut reader = csv::Reader::from_reader(content.as_slice());
    let header = reader.headers().map_err(broken)?.clone();
    if header.iter().ne(COLUMNS) {
        return Err(damaged(1, format!("the header is not {:?}", COLUMNS.join(","))));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(1, csv::Position::line);
        let row: Imported = record.deserialize(Some(&header)).map_err(broken)?;
        row.check().map_err(|problem| damaged(line, problem))?;
        rows.push((line, row));
    }
    Ok(rows)
}

/// What is wrong, without the place, which stands before it.
fn told(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells instead of {expected_len}")
        }
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| COLUMNS.get(field as usize));
            column.map_or_else(|| err.kind().to_string(), |column| format!("column {column:?}: {}", err.kind()))
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("column {:?} is not UTF-8 text", COLUMNS.get(err.field())),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::toy;

    fn row(architecture: &str, after: u64) -> Imported {
        Imported {
            architecture: architecture.to_owned(),
            accuracy: Some(0.1 + 0.2),
            time_ms: Some(1e-7),
            time_ms_std: None,
            energy_mj: None,
            energy_mj_std: None,
            device: Some("a \"board\", quoted".to_owned()),
            epochs: Some(5),
            after,
            imported_at: "2026-01-31T23:59:59Z".to_owned(),
            source: "/logs/one, two.csv".to_owned(),
            line: 7,
            sha256: "0f".repeat(32),
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Imported::read(folder.path()).unwrap(), []);
        let rows = [row("a", 0), Imported { accuracy: None, device: None, epochs: None, ..row("b", 12) }];
        Imported::write(folder.path(), &rows).unwrap();
        assert_eq!(Imported::read(folder.path()).unwrap(), rows);
        let text = std::fs::read_to_string(folder.path().join(IMPORTED)).unwrap();
        assert_eq!(text.lines().next(), Some(COLUMNS.join(",").as_str()));
    }

    #[test]
    fn damage_is_refused_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IMPORTED);
        Imported::write(folder.path(), &[row("a", 0), row("b", 1)]).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Imported::read(folder.path()).unwrap_err().to_string()
        };
        for (what, by, wanted) in [
            ("after", "behind", ["imported.csv:1:", "header"]),
            ("b,0.30000000000000004", "b,much", ["imported.csv:3:", "\"accuracy\""]),
            ("b,0.30000000000000004", "b,1.5", ["imported.csv:3:", "between 0 and 1"]),
            ("b,0.30000000000000004,1e-7", "b,,", ["imported.csv:3:", "neither accuracy nor time"]),
            ("b,0.30000000000000004,1e-7", "b,NaN,1e-7", ["imported.csv:3:", "between 0 and 1"]),
            ("b,0.30000000000000004,1e-7", "b,0.5,0", ["imported.csv:3:", "above zero"]),
            ("b,", "b,,", ["imported.csv:3:", "14 cells instead of 13"]),
        ] {
            let error = refused(&whole.replace(what, by));
            assert!(wanted.iter().all(|wanted| error.contains(wanted)), "{error}");
        }
        // A cut within the last row; one at its line break takes nothing away.
        for cut in whole.rfind("\nb,").unwrap() + 2..whole.len() - 1 {
            let error = refused(&whole[..cut]);
            assert!(error.contains("imported.csv:3:"), "{cut}: {error}");
        }
    }

    #[test]
    fn what_is_not_of_the_space_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Imported::write(folder.path(), &[row("[0]", 0)]).unwrap();
        let error = Imported::imports(folder.path(), &toy::problem(&[2, 2])).unwrap_err().to_string();
        assert!(error.contains("imported.csv:2: column \"architecture\"") && error.contains("no text"), "{error}");
    }
}
