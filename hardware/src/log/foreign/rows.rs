//! The rows of a log, one by one.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::str::FromStr as _;

use super::columns::{Columns, EnergyUnit, FractionUnit};
use super::header::{Found, Holds, find_columns};
use crate::cells::{self, BadNumber, BadRow, Decimal, Rows, Separator, Thousands};
use crate::log::read::{bad_row, file_error, parse};
use crate::log::{LogError, Row, ShortTraining, Status, is_journal};
use crate::shown::ends_of;

/// A row of a log and its place. It has no number; `ok` is its status where the log has no such column, and of an
/// evaluation that failed or diverged only architecture and status count.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The values, in the journal's units. Its accuracy is after its epochs.
    pub row: Row,
    /// A short training, where a column of the log has accuracies of those too.
    pub short: Option<ShortTraining>,
}

/// The rows of a log, and the columns that they are from.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRows {
    /// All rows in the order of the file.
    pub rows: Vec<LogRow>,
    /// The columns by the journal's names: `architecture = "arch", time_ms = "latency" (in us)`.
    pub columns: String,
    /// Epochs of a full training: the most that an accuracy of a successful row is after, or those of the column of
    /// accuracies; `None` where the log does not say any.
    pub full_epochs: Option<u64>,
}

impl LogRows {
    /// The same with one row for each evaluation, at its first line: a journal has a row for the measurement of a network and
    /// one for its full training. Short trainings keep rows of their own.
    #[must_use]
    pub fn joined(self) -> Self {
        let mut joined: Vec<LogRow> = Vec::new();
        // By architecture, the row that waits for its full training.
        let mut measured: HashMap<String, usize> = HashMap::new();
        for found in self.rows {
            let row = &found.row;
            let is_measured = row.time_ms.is_some() || row.energy_mj.is_some();
            let is_short = row.accuracy.is_some() && row.epochs < self.full_epochs;
            if row.status == Status::Measured && is_measured {
                measured.insert(row.architecture.clone(), joined.len());
            } else if !is_measured
                && !is_short
                && let Some(place) = measured.remove(&row.architecture)
            {
                let whole: &mut Row = &mut joined[place].row;
                (whole.status, whole.accuracy, whole.epochs) = (row.status, row.accuracy, row.epochs);
                continue;
            }
            joined.push(found);
        }
        Self { rows: joined, ..self }
    }
}

/// Every row of a log in its order, none merged with another: a [`Table`](super::Table) is made of them. `content` is
/// the content of the file at `path`; `columns` and `normalise` are as [`Table::load`](super::Table::load) takes them.
///
/// # Errors
///
/// As [`Table::load`](super::Table::load), but that a log may have a header alone, or rows that all failed.
pub fn read_rows(
    path: &Path,
    content: &[u8],
    columns: &Columns,
    normalise: &dyn Fn(&str) -> Result<String, String>,
) -> Result<LogRows, LogError> {
    let is_json = matches!(content.trim_ascii_start().first(), Some(b'{' | b'['));
    let json = is_json.then_some("it is JSON: export the table as CSV, with a row for each architecture");
    if let Some(disguise) = cells::disguise(content).or(json) {
        return Err(file_error("read", path, &disguise));
    }
    let unreadable = |bad: BadRow| bad_row(path, &bad);
    let first = content.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let separator = Separator::Auto.of(&String::from_utf8_lossy(first), false);
    let mut rows = Rows::new(content, separator);
    let Some((line, header)) = rows.next().map_err(unreadable)? else {
        return Err(nothing_to_replay(path, "the file is empty"));
    };
    let headers = header.iter().map(|cell| cells::text(cell.trim_ascii()).map(str::to_owned));
    let headers = headers.collect::<Result<Vec<_>, _>>().map_err(|problem| bad_cell(path, line, "header", &problem))?;
    let wanted = columns.target.clone();
    let columns = find_columns(path, line, &headers, columns)?;
    let (mut found, mut decimal) = (Vec::new(), Decimal::default());
    let mut thousands = vec![Thousands::default(); columns.len()];
    let has_commas = matches!(separator, Separator::Comma | Separator::Blanks);
    while let Some((line, cells)) = rows.next().map_err(unreadable)? {
        if cells.len() != headers.len() {
            return Err(LogError::Other(format!(
                "{}:{line}: the row has {} cells, the header {}: it is torn; delete or mend that line",
                path.display(),
                cells.len(),
                headers.len()
            )));
        }
        let mut read = LogRow { line, row: Row::default(), short: None };
        for (cell, name) in cells.iter().zip(&headers) {
            let Ok(cell) = cells::text(cell.trim_ascii()) else { continue };
            let noticed = decimal.notice(cell).map_err(BadNumber::into_reason);
            noticed.map_err(|problem| bad_cell(path, line, name, &problem))?;
        }
        for (column, thousands) in columns.iter().zip(&mut thousands) {
            let is_first = matches!(column.holds, Holds::Architecture | Holds::Status);
            if is_first || !matches!(read.row.status, Status::Failed | Status::Diverged) {
                let cell = &cells[column.at];
                let number = || cells::number_in(cell, &mut decimal, thousands, has_commas);
                set(&mut read, column, cell.trim_ascii(), number, normalise)
                    .map_err(|problem| bad_cell(path, line, &column.name, &problem))?;
            }
        }
        found.push(read);
    }
    keep_target(path, &mut found, wanted)?;
    let is_full = |column: &&Found| matches!(column.holds, Holds::Accuracy(_) | Holds::Error(_));
    let of_column = columns.iter().filter(is_full).filter_map(|column| column.epochs);
    let trained = found.iter().filter(|LogRow { row, .. }| row.status == Status::Ok && row.accuracy.is_some());
    let full_epochs = trained.filter_map(|trained| trained.row.epochs).chain(of_column).max();
    let columns = columns.iter().map(Found::shown).collect::<Vec<_>>().join(", ");
    Ok(LogRows { rows: found, columns, full_epochs })
}

/// The targets of a log, in their order: those that have columns, or else those of a journal's rows; none where it has
/// measurements of one device alone.
///
/// # Errors
/// When it is a journal with a damaged row.
pub fn targets_of(path: &Path, content: &[u8], columns: &Columns) -> Result<Vec<String>, LogError> {
    if !columns.targets.is_empty() {
        return Ok(columns.targets.keys().cloned().collect());
    }
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !is_journal(first) {
        return Ok(Vec::new());
    }
    Ok(distinct(parse(path, content)?.rows.into_iter().filter_map(|row| row.target)))
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let all: BTreeSet<String> = names.collect();
    all.into_iter().collect()
}

/// Leaves out the rows that measured other targets than the wanted one.
fn keep_target(path: &Path, rows: &mut Vec<LogRow>, wanted: Option<String>) -> Result<(), LogError> {
    let found = distinct(rows.iter().filter_map(|LogRow { row, .. }| row.target.clone()));
    let wanted = match (wanted, found.as_slice()) {
        (Some(wanted), _) => wanted,
        (None, []) => return Ok(()),
        (None, [one]) => one.clone(),
        (None, several) => {
            return Err(LogError::Other(format!(
                "{} has measurements of several targets, which cannot be taken for those of one: name one of {}",
                path.display(),
                several.join(", ")
            )));
        }
    };
    rows.retain(|LogRow { row, .. }| row.target.as_ref().is_none_or(|target| *target == wanted));
    rows.iter_mut().for_each(|LogRow { row, .. }| row.target = None);
    Ok(())
}

/// Sets the value that a column holds from its cell, which is a number for some.
fn set(
    LogRow { row, short, .. }: &mut LogRow,
    column: &Found,
    cell: &[u8],
    number: impl FnOnce() -> Result<Option<f64>, String>,
    normalise: &dyn Fn(&str) -> Result<String, String>,
) -> Result<(), String> {
    let rename = |problem: String| format!("{problem} (rename the column where it means something else)");
    match column.holds {
        Holds::Architecture => {
            row.architecture = match cells::text(cell)? {
                "" => return Err("the cell is empty; every row has an architecture".to_owned()),
                text => normalise(text)?,
            }
        }
        Holds::Status => row.status = Status::from_str(cells::text(cell)?).map_err(rename)?,
        Holds::Accuracy(unit) => {
            row.accuracy = accuracy(number()?, unit, false)?;
            row.epochs = row.accuracy.and(column.epochs);
        }
        Holds::Error(unit) => {
            row.accuracy = accuracy(number()?, unit, true)?;
            row.epochs = row.accuracy.and(column.epochs);
        }
        Holds::ShortAccuracy(unit) => *short = short_training(accuracy(number()?, unit, false)?, column, row)?,
        Holds::ShortError(unit) => *short = short_training(accuracy(number()?, unit, true)?, column, row)?,
        Holds::Time(unit) => row.time_ms = in_range(cells::positive(number()?)?, |time| unit.to_ms(time))?,
        Holds::Energy(EnergyUnit::PerJ) => {
            row.energy_mj = in_range(cells::positive(number()?)?, |count| EnergyUnit::PerJ.to_mj(count))?;
        }
        Holds::TimeStd(unit) => row.time_ms_std = in_range(cells::not_negative(number()?)?, |time| unit.to_ms(time))?,
        Holds::Energy(unit) => row.energy_mj = in_range(cells::not_negative(number()?)?, |mj| unit.to_mj(mj))?,
        Holds::EnergyStd(unit) => row.energy_mj_std = in_range(cells::not_negative(number()?)?, |mj| unit.to_mj(mj))?,
        Holds::Device => row.device = Some(cells::text(cell)?.to_owned()).filter(|device| !device.is_empty()),
        Holds::Epochs => row.epochs = number().and_then(cells::whole).map_err(rename)?.or(row.epochs),
        Holds::TrainSeconds => row.train_seconds = number().and_then(cells::not_negative).map_err(rename)?,
        Holds::MeasureSeconds => row.measure_seconds = number().and_then(cells::not_negative).map_err(rename)?,
        Holds::Target => row.target = Some(cells::text(cell)?.to_owned()).filter(|target| !target.is_empty()),
    }
    Ok(())
}

/// An accuracy as a fraction from a number that is one, or an error.
fn accuracy(number: Option<f64>, unit: FractionUnit, is_error: bool) -> Result<Option<f64>, String> {
    let (number, whole) = (cells::between_zero_and(number, unit.whole())?, unit.whole());
    Ok(number.map(|number| if is_error { (whole - number) / whole } else { number / whole }))
}

/// The short training of a row whose own accuracy and epochs are known.
fn short_training(accuracy: Option<f64>, column: &Found, row: &Row) -> Result<Option<ShortTraining>, String> {
    let (Some(accuracy), Some(epochs)) = (accuracy, column.epochs) else { return Ok(None) };
    match row.epochs.filter(|full| row.accuracy.is_some() && *full <= epochs) {
        Some(full) => Err(format!(
            "it is after {epochs} epochs, and the row's full training has {full}: a short training has fewer; correct \
             the column's `epochs` or the row's"
        )),
        None => Ok(Some(ShortTraining { epochs, accuracy })),
    }
}

/// Most milliseconds, or millijoules, that an inference could take: thirty years.
const MOST: f64 = 1e12;

/// Converts to the project's unit; rejects what no device could take, and what vanishes there.
fn in_range(value: Option<f64>, convert: impl Fn(f64) -> f64) -> Result<Option<f64>, String> {
    let Some(value) = value else { return Ok(None) };
    let converted = convert(value);
    if converted > MOST || converted.is_nan() || (converted == 0.0 && value != 0.0) {
        return Err(format!("{value:e} is not a value that a device could have"));
    }
    Ok(Some(converted))
}

fn bad_cell(path: &Path, line: u64, column: &str, problem: &str) -> LogError {
    // Of a text that cannot be parsed, the message has the text and a caret under the place, on two more lines.
    const LINES: usize = 3;
    let problem: Vec<String> = problem.lines().take(LINES).map(ends_of).collect();
    LogError::Other(format!("{}:{line}: column {column:?}: {}", path.display(), problem.join("\n")))
}

pub(super) fn nothing_to_replay(path: &Path, reason: &str) -> LogError {
    LogError::Other(format!("{}: nothing to replay: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(text: &str, columns: &str) -> Result<LogRows, LogError> {
        let upper = |text: &str| Ok(text.to_uppercase());
        read_rows(Path::new("log.csv"), text.as_bytes(), &toml::from_str(columns).unwrap(), &upper)
    }

    fn read(text: &str) -> Result<Vec<LogRow>, LogError> {
        read_with(text, "").map(|log| log.rows)
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn rows_stay_apart_with_their_lines_status_and_epochs() {
        let text = "architecture,status,accuracy,time_ms,device,epochs\n\
                    a,ok,0.5,1,x,3.0\na,ok,0.5,1,y,\n\nb,bounded,,2,x,\nc,diverged,junk,,,\n";
        let rows = read_with(text, "status = \"status\"\nepochs = \"epochs\"").unwrap().rows;
        let found =
            |LogRow { line, row, .. }: &LogRow| (*line, row.architecture.clone(), row.status, row.time_ms, row.epochs);
        assert_eq!(
            rows.iter().map(found).collect::<Vec<_>>(),
            [
                (2, "A".to_owned(), Status::Ok, Some(1.0), Some(3)),
                (3, "A".to_owned(), Status::Ok, Some(1.0), None),
                (5, "B".to_owned(), Status::Bounded, Some(2.0), None),
                (6, "C".to_owned(), Status::Diverged, None, None),
            ]
        );
        assert_eq!(rows[1].row.device.as_deref(), Some("y"));
        assert_eq!(read("architecture,time_ms\n").unwrap(), []);
    }

    #[test]
    fn epochs_that_are_no_count_are_rejected_with_their_place() {
        let text = "architecture,time_ms,epochs\na,1,many\n";
        let error = read_with(text, "epochs = \"epochs\"").unwrap_err().to_string();
        assert!(error.contains("log.csv:2: column \"epochs\"") && error.contains("rename"), "{error}");
    }

    #[test]
    fn columns_that_are_called_like_a_journals_are_taken_where_they_are_named() {
        let text = "architecture,accuracy_percent,time_ms,status,epochs\na,91.84,4.455851,finished,200.0\n";
        let log = read_with(text, "").unwrap();
        assert_eq!((log.rows[0].row.status, log.rows[0].row.epochs), (Status::Ok, None));
        let expected =
            "architecture = \"architecture\", accuracy = \"accuracy_percent\" (in percent), time_ms = \"time_ms\"";
        assert_eq!(log.columns, expected);
        assert_eq!(read_with(text, "epochs = \"epochs\"").unwrap().rows[0].row.epochs, Some(200));
        let error = read_with(text, "status = \"status\"").unwrap_err().to_string();
        assert!(error.contains("log.csv:2: column \"status\"") && error.contains("finished"), "{error}");
    }

    #[test]
    fn rates_are_units_of_time_and_energy() {
        let text = "architecture,top1_percent,throughput_inf_s,energy_uJ\na,91.84,224.424,54382.000\n";
        let columns = "accuracy = { column = \"top1_percent\", unit = \"percent\" }\n\
                       time = { column = \"throughput_inf_s\", unit = \"per_s\" }\n\
                       energy = { column = \"energy_uJ\", unit = \"uJ\" }";
        let log = read_with(text, columns).unwrap();
        assert!((log.rows[0].row.time_ms.unwrap() - 4.455851).abs() < 1e-5, "{log:?}");
        assert_eq!(log.rows[0].row.energy_mj, Some(54.382));
        assert!(
            log.columns.contains("time_ms = \"throughput_inf_s\" (in per_s), energy_mj = \"energy_uJ\" (in uj)"),
            "{log:?}"
        );
        let deviation = format!("{columns}\ntime_std = {{ column = \"energy_uJ\", unit = \"per_s\" }}");
        assert!(read_with(text, &deviation).unwrap_err().to_string().contains("a deviation cannot be converted"));
        assert!(read_with("architecture,t\na,0\n", "time = { column = \"t\", unit = \"per_s\" }").is_err());
    }

    #[test]
    fn spreadsheets_of_any_country_are_read() {
        let expected = [Some(4.455851), Some(86.891)];
        for text in [
            "architecture;time_ms\na,b;4,455851\nc;86,891\n",
            "architecture\ttime_ms\na,b\t4.455851\nc\t86.891\n",
            "architecture,time_ms\n\"a,b\",4.455851\nc,86.891\n",
            "\u{feff}architecture,time_ms\r\n\"a,b\",\"4,455851\"\r\nc,\"86,891\"\r\n",
        ] {
            let rows = read(text).unwrap();
            assert_eq!(rows.iter().map(|row| row.row.time_ms).collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(rows[0].row.architecture, "A,B");
        }
    }

    #[test]
    fn two_decimal_signs_in_one_log_are_rejected() {
        for text in
            ["architecture;time_ms;energy_mj\na;0.5;1\nb;1,200;2\n", "architecture;time_ms;x\na;7;0\nb;1,200;0.5\n"]
        {
            let error = refusal(text);
            assert!(error.contains("log.csv:3: column \"time_ms\"") && error.contains("decimal sign"), "{error}");
        }
        let error = refusal("architecture;time_ms;x\na;1.200;7\nb;950;0,5\n");
        assert!(error.contains("log.csv:3: column \"x\"") && error.contains("decimal sign"), "{error}");
    }

    #[test]
    fn thousands_among_whole_numbers_are_not_read_as_decimals() {
        for text in ["architecture\ttime_ms\na\t950\nb\t1,200\n", "architecture\ttime_ms\na\t1,200\nb\t950\n"] {
            let error = refusal(text);
            assert!(error.contains("log.csv:3: column \"time_ms\"") && error.contains("thousands"), "{error}");
        }
        let rows = read("architecture\ttime_ms\tenergy_mj\na\t950,5\t100\nb\t1,200\t200\n").unwrap();
        assert_eq!(rows[1].row.time_ms, Some(1.2), "the sign is known");
        let columns = "energy = \"energy_mj\"";
        let other = "architecture\ttime_ms\tenergy_mj\na\t1,250\t100\nb\t1,200\t200\n";
        assert_eq!(read_with(other, columns).unwrap().rows[1].row.time_ms, Some(1.2), "wholes of another column");
    }

    #[test]
    fn a_quote_that_stays_open_is_an_error_on_its_line() {
        let error = refusal("architecture,time_ms,note\na,1,\"fast\nb,2,slow\nc,3,slow\n");
        assert!(error.contains("log.csv:2: a quote is opened and not closed"), "{error}");
    }

    #[test]
    fn a_header_behind_blank_lines_is_named_by_its_line() {
        for text in ["\n\narch,time_ms\n", "\r\n\narchitecture,t\n", "\n\narchitecture,time_ms,time_ms\n"] {
            let error = refusal(text);
            assert!(error.contains("log.csv:3: "), "{error}");
        }
    }

    #[test]
    fn no_message_shows_a_long_text_in_full() {
        let long = "x".repeat(100_000);
        for text in [
            format!("{{{long},{long}}}"),
            format!("architecture,time_ms\na,{long}\n"),
            format!("architecture,{long}\na,1\n"),
        ] {
            let error = refusal(&text);
            assert!(error.len() < 1500, "{} bytes", error.len());
        }
        assert!(refusal("a\0r\n").contains("NUL"), "binary files are named");
        assert!(refusal(&format!("{{{long}}}")).contains("it is JSON"));
    }
}
