//! Rows of other logs that a run was given: `imported.csv` in its folder.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use hardware::log::{COLUMNS, Joined, Row, cells, read_row};
use serde::{Deserialize, Serialize};

use super::{IMPORTED, failed, write_atomically};
use crate::history::{Import, candidate_of, evaluation_of};
use crate::objective::Objective;
use crate::problem::Problem;

/// Columns of the row; those of its [`Origin`] follow.
const OF_ROW: [&str; 8] =
    ["architecture", "accuracy", "time_ms", "time_ms_std", "energy_mj", "energy_mj_std", "device", "epochs"];
const OF_ORIGIN: [&str; 5] = ["after", "imported_at", "source", "line", "sha256"];

/// A row of another log, as far as it can be compared with the run's rows, and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The values, without a number.
    pub row: Row,
    pub origin: Origin,
}

/// The place that a row was imported from, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
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

impl Imported {
    /// Everything that was imported into the run of a folder, in its order; empty without such a file.
    pub fn read(folder: &Path) -> anyhow::Result<Vec<Self>> {
        Ok(read(&folder.join(IMPORTED))?.into_iter().map(|(_, row)| row).collect())
    }

    /// The same as a search for a problem takes it.
    pub fn imports(folder: &Path, problem: &Problem) -> anyhow::Result<Vec<Import>> {
        let path = folder.join(IMPORTED);
        let mut imports = Vec::new();
        for (line, Self { row, origin }) in read(&path)? {
            let found = candidate_of(problem, &row);
            let joined = Joined::new(row, problem.fidelity().short_epochs);
            let evaluation = found.and_then(|found| evaluation_of(problem, found, &joined));
            // The innermost reason: the context around it speaks of a journal.
            let evaluation = evaluation
                .map_err(|error| damaged(&path, line, &format!("column \"architecture\": {}", error.root_cause())))?;
            imports.push(Import { evaluation, after: origin.after });
        }
        Ok(imports)
    }

    /// Writes all that was imported into the run of a folder in place of the file that is there.
    pub fn write(folder: &Path, rows: &[Self]) -> anyhow::Result<()> {
        let mut content = OF_ROW.into_iter().chain(OF_ORIGIN).collect::<Vec<_>>().join(",").into_bytes();
        content.push(b'\n');
        let mut writer = WriterBuilder::new().has_headers(false).from_writer(content);
        for Self { row, origin } in rows {
            let all = cells(row)?;
            let of_row = OF_ROW.map(|name| COLUMNS.iter().position(|column| *column == name).map(|at| &all[at]));
            for cell in of_row {
                writer.write_field(cell.unwrap_or_default())?;
            }
            writer.serialize(origin)?;
        }
        write_atomically(&folder.join(IMPORTED), &writer.into_inner()?)
    }

    fn parse(header: &ByteRecord, record: &ByteRecord) -> Result<Self, String> {
        let row = read_row(header, record)?;
        let origin: Origin = record.deserialize(Some(header)).map_err(|error| problem_of(&error, header))?;
        if Objective::MEASURED.iter().all(|objective| objective.measured(&row).is_none()) {
            return Err("the row has neither accuracy nor time nor energy".to_owned());
        }
        let Origin { sha256, imported_at, .. } = &origin;
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("column \"sha256\": {sha256:?} is not 64 hexadecimal digits"));
        }
        if imported_at.parse::<jiff::Timestamp>().is_err() {
            return Err(format!("column \"imported_at\": {imported_at:?} is not a time (RFC 3339)"));
        }
        Ok(Self { row, origin })
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<(u64, Imported)>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let content = std::fs::read(path).map_err(failed("read", path))?;
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(content.as_slice());
    let header = reader.byte_headers()?.clone();
    let expected: Vec<&str> = OF_ROW.into_iter().chain(OF_ORIGIN).collect();
    if header.iter().ne(expected.iter().map(|name| name.as_bytes())) {
        return Err(damaged(path, 1, &format!("the header is not {:?}", expected.join(","))));
    }
    let mut rows = Vec::new();
    for record in reader.into_byte_records() {
        let record = record?;
        let line = record.position().map_or(1, csv::Position::line);
        rows.push((line, Imported::parse(&header, &record).map_err(|problem| damaged(path, line, &problem))?));
    }
    Ok(rows)
}

/// The problem of a cell with its column, without the place, which stands before it.
fn problem_of(error: &csv::Error, header: &ByteRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    let column = err.field().and_then(|field| header.get(field as usize)).unwrap_or_default();
    format!("column {:?}: {}", String::from_utf8_lossy(column), err.kind())
}

fn damaged(path: &Path, line: u64, problem: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{}:{line}: {problem}: the file is damaged, or was edited; mend that line, or remove the file and import again",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use hardware::log::Status;

    use super::*;
    use crate::strategy::toy;

    fn row(architecture: &str, after: u64) -> Imported {
        let row = Row {
            accuracy: Some(0.1 + 0.2),
            time_ms: Some(1e-7),
            device: Some("a \"board\", quoted".to_owned()),
            epochs: Some(5),
            ..Row::new(0, architecture, Status::Ok)
        };
        let origin = Origin {
            after,
            imported_at: "2026-01-31T23:59:59Z".to_owned(),
            source: "/logs/one, two.csv".to_owned(),
            line: 7,
            sha256: "0f".repeat(32),
        };
        Imported { row, origin }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Imported::read(folder.path()).unwrap(), []);
        let mut rows = [row("a", 0), row("b", 12)];
        (rows[1].row.accuracy, rows[1].row.device, rows[1].row.epochs) = (None, None, None);
        Imported::write(folder.path(), &rows).unwrap();
        assert_eq!(Imported::read(folder.path()).unwrap(), rows);
        let text = std::fs::read_to_string(folder.path().join(IMPORTED)).unwrap();
        assert_eq!(
            text.lines().next(),
            Some(
                "architecture,accuracy,time_ms,time_ms_std,energy_mj,energy_mj_std,device,epochs,after,imported_at,source,\
             line,sha256"
            )
        );
    }

    #[test]
    fn damage_is_rejected_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IMPORTED);
        Imported::write(folder.path(), &[row("a", 0), row("b", 1)]).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let rejection = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Imported::read(folder.path()).unwrap_err().to_string()
        };
        for (what, by, wanted) in [
            ("after", "behind", ["imported.csv:1:", "header"]),
            ("b,0.30000000000000004", "b,much", ["imported.csv:3:", "\"accuracy\""]),
            ("b,0.30000000000000004", "b,1.5", ["imported.csv:3:", "between 0 and 1"]),
            ("b,0.30000000000000004,0.0000001", "b,,", ["imported.csv:3:", "neither accuracy nor time"]),
            ("b,0.30000000000000004,0.0000001", "b,NaN,0.0000001", ["imported.csv:3:", "finite number"]),
            ("b,0.30000000000000004,0.0000001", "b,0.5,0", ["imported.csv:3:", "above zero"]),
            (",7,0f", ",seven,0f", ["imported.csv:2:", "column \"line\": invalid digit"]),
            ("b,", "b,,", ["imported.csv:3:", "14 cells instead of 13"]),
        ] {
            let error = rejection(&whole.replace(what, by));
            assert!(wanted.iter().all(|wanted| error.contains(wanted)), "{error}");
        }
        // A cut within the last row; one at its line break takes nothing away.
        for cut in whole.rfind("\nb,").unwrap() + 2..whole.len() - 1 {
            let error = rejection(&whole[..cut]);
            assert!(error.contains("imported.csv:3:"), "{cut}: {error}");
        }
    }

    #[test]
    fn architectures_of_another_space_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        Imported::write(folder.path(), &[row("[0]", 0)]).unwrap();
        let error = Imported::imports(folder.path(), &toy::problem(&[2, 2])).unwrap_err().to_string();
        assert!(
            error.contains("imported.csv:2: column \"architecture\"") && error.contains("expected `, `"),
            "{error}"
        );
    }
}
