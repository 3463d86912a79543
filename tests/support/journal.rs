//! Reads and checks journals, without the code of the program.

use std::collections::BTreeMap;
use std::path::Path;

/// The stable columns of a journal, in their order.
const COLUMNS: &str = "evaluation,started_at,architecture,status,accuracy,time_ms,time_ms_std,time_runs,energy_mj,\
                       energy_mj_std,power_samples,idle_power_mw,device,epochs,train_seconds,measure_seconds,message";
/// Those that newer journals have after these.
const NEWER_COLUMNS: &str = ",time_ms_p50,time_ms_p95,time_ms_p99,trainer,target";

/// Epochs of the short trainings in these tests, which no other training has.
const SHORT_EPOCHS: &str = "9";

/// That of the front alone.
const MODEL: &str = ",model";

/// A journal, or another file of that format.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    header: Vec<String>,
    /// Its evaluations, a row each, in the order of their first rows.
    pub rows: Vec<Row>,
    /// Its rows, in their order: one for each job of a network.
    pub jobs: Vec<Row>,
}

/// A row of an evaluation or of one of its jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    cells: BTreeMap<String, String>,
}

impl Journal {
    /// Reads a complete journal.
    ///
    /// # Panics
    /// If it cannot be read, has other columns, or does not end with a line break.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.ends_with('\n'), "{} ends in half a line", path.display());
        Self::parse(&text)
    }

    /// Reads a journal that may end in half a line.
    ///
    /// # Panics
    /// As [`read`](Self::read), but not for half a line.
    pub fn read_whole_lines(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text[..text.rfind('\n').map_or(0, |end| end + 1)])
    }

    fn parse(text: &str) -> Self {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().expect("a header").clone();
        if !header.is_empty() {
            let header = header.iter().collect::<Vec<_>>().join(",");
            let header = header.strip_suffix(MODEL).unwrap_or(&header);
            assert_eq!(header.strip_suffix(NEWER_COLUMNS).unwrap_or(header), COLUMNS);
        }
        let row = |record: Result<csv::StringRecord, csv::Error>| {
            let record = record.expect("rows of the header's width");
            let cells = header.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned()));
            Row { cells: cells.collect() }
        };
        let jobs: Vec<Row> = reader.records().map(row).collect();
        Self { header: header.iter().map(str::to_owned).collect(), rows: joined(&jobs), jobs }
    }

    /// The evaluations that have ended: not those that are measured alone.
    pub fn ended(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.text("status") != "measured").collect()
    }

    /// The text of the same journal with a row for each evaluation, as earlier versions wrote it.
    ///
    /// # Panics
    /// If a cell cannot be written.
    pub fn whole(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.header).expect("a header");
        for row in &self.rows {
            writer.write_record(self.header.iter().map(|name| row.text(name))).expect("a row");
        }
        String::from_utf8(writer.into_inner().expect("whole rows")).expect("text")
    }

    /// Values of some columns, row by row; an error counts as `1 − accuracy` under the name `error`.
    pub fn values(&self, names: &[&str]) -> Vec<Vec<f64>> {
        let value = |row: &Row, name: &str| match name {
            "error" => row.number("accuracy").map(|accuracy| 1.0 - accuracy),
            _ => row.number(name),
        };
        let complete = |row: &Row| names.iter().map(|name| value(row, name)).collect::<Option<Vec<_>>>();
        self.rows.iter().filter_map(complete).collect()
    }
}

/// The rows of each evaluation as one: of each column the last value, but when it began. Short trainings are left out.
fn joined(jobs: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for job in jobs.iter().filter(|job| job.text("epochs") != SHORT_EPOCHS) {
        match rows.iter_mut().find(|row| row.text("evaluation") == job.text("evaluation")) {
            Some(row) => {
                let known = job.cells.iter().filter(|(name, text)| !text.is_empty() && *name != "started_at");
                known.for_each(|(name, text)| drop(row.cells.insert(name.clone(), text.clone())));
            }
            None => rows.push(job.clone()),
        }
    }
    rows
}

impl Row {
    /// The same row with another cell.
    #[must_use]
    pub fn with(&self, column: &str, text: &str) -> Self {
        let mut row = self.clone();
        row.cells.insert(column.to_owned(), text.to_owned());
        row
    }

    /// A cell's text.
    ///
    /// # Panics
    /// If the column is missing.
    pub fn text(&self, column: &str) -> &str {
        self.cells.get(column).unwrap_or_else(|| panic!("no column {column}"))
    }

    /// A cell's number; none if the cell is empty.
    ///
    /// # Panics
    /// If the column is missing, or the cell is neither empty nor a finite number.
    pub fn number(&self, column: &str) -> Option<f64> {
        let text = self.text(column);
        let parse = || text.parse().ok().filter(|number: &f64| number.is_finite());
        (!text.is_empty()).then(|| parse().unwrap_or_else(|| panic!("{column} is {text:?}")))
    }

    /// The evaluation's number.
    ///
    /// # Panics
    /// If it has none.
    pub fn evaluation(&self) -> u64 {
        self.text("evaluation").parse().expect("a number of an evaluation")
    }
}

/// The rows that no other dominates under these objectives, of equal ones the first. Rows without one of the objectives
/// do not count.
pub fn front<'a>(journal: &'a Journal, objectives: &[&str]) -> Vec<&'a Row> {
    let of = |row: &Row| Journal { rows: vec![row.clone()], ..Journal::default() }.values(objectives).pop();
    let known: Vec<(&Row, Vec<f64>)> = journal.rows.iter().filter_map(|row| Some((row, of(row)?))).collect();
    let beats = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a != b;
    let stays = |index: usize| {
        let point = &known[index].1;
        let rivals = known.iter().enumerate();
        !rivals.into_iter().any(|(other, (_, rival))| beats(rival, point) || (other < index && rival == point))
    };
    (0..known.len()).filter(|index| stays(*index)).map(|index| known[index].0).collect()
}

/// Share of the box from 0 to `reference` that points of two objectives dominate.
pub fn dominated_area(points: &[Vec<f64>], reference: [f64; 2]) -> f64 {
    let mut points: Vec<[f64; 2]> = points.iter().map(|p| [p[0] / reference[0], p[1] / reference[1]]).collect();
    points.retain(|[x, y]| *x < 1.0 && *y < 1.0);
    points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let (mut area, mut height) = (0.0, 1.0);
    for [x, y] in points {
        if y < height {
            area += (1.0 - x) * (height - y);
            height = y;
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(rows: &[(f64, f64)]) -> Journal {
        let line = |(number, (accuracy, time)): (usize, &(f64, f64))| {
            format!("{number},,a{number},ok,{accuracy},{time},,,,,,,,,,,\n")
        };
        Journal::parse(&format!("{COLUMNS}\n{}", rows.iter().enumerate().map(line).collect::<String>()))
    }

    #[test]
    fn the_front_has_no_dominated_row() {
        let journal = journal(&[(0.5, 2.0), (0.5, 2.0), (0.75, 4.0), (0.5, 3.0), (0.25, 1.0)]);
        let numbers: Vec<u64> = front(&journal, &["error", "time_ms"]).iter().map(|row| row.evaluation()).collect();
        assert_eq!(numbers, [0, 2, 4]);
        assert!(front(&journal, &["error", "energy_mj"]).is_empty());
    }

    #[test]
    fn the_dominated_area_is_that_of_two_rectangles() {
        let points = [vec![0.25, 6.0], vec![0.5, 2.0], vec![0.5, 3.0], vec![2.0, 1.0]];
        assert_eq!(dominated_area(&points, [1.0, 8.0]), 0.75 * 0.25 + 0.5 * 0.5);
    }
}
