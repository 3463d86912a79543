//! A table of measurements to search in, with the columns of another program.

use std::path::{Path, PathBuf};

/// Operations of the cells: few, so that the tests look up all 729 cells quickly.
const OPERATIONS: [&str; 3] = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"];

/// A CSV file with other names and units than a journal, and a row for every cell.
#[derive(Debug)]
pub struct Table {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub entries: Vec<Entry>,
}

/// A row of a [`Table`], in the table's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Text of the architecture.
    pub cell: String,
    /// Accuracy.
    pub percent: f64,
    /// Accuracy after a short training.
    pub early_percent: f64,
    /// Time.
    pub microseconds: u64,
    /// Energy.
    pub joules: f64,
}

impl Table {
    /// Writes a table into a folder: larger cells are slower, and better up to a point, and energy does not quite
    /// follow time.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(folder: &Path) -> Self {
        let entries: Vec<Entry> = (0..OPERATIONS.len().pow(6)).map(entry).collect();
        let table = Self { path: folder.join("table.csv"), entries };
        table.rewrite();
        table
    }

    /// Writes the entries as they are now.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn rewrite(&self) {
        let line = |entry: &Entry| {
            let Entry { cell, percent, early_percent, microseconds, joules } = entry;
            format!("{percent},{cell},{joules},a remark,{microseconds},{early_percent}\n")
        };
        let rows: String = self.entries.iter().map(line).collect();
        std::fs::write(&self.path, format!("top-1 %,network,joules,remark,latency_us,early %\n{rows}"))
            .expect("a writable folder");
    }

    /// The entry of a cell.
    ///
    /// # Panics
    /// If the table has no such cell.
    pub fn entry(&self, cell: &str) -> &Entry {
        self.entries.iter().find(|entry| entry.cell == cell).unwrap_or_else(|| panic!("no {cell}"))
    }
}

fn entry(number: usize) -> Entry {
    let digits: [usize; 6] =
        std::array::from_fn(|place| number / OPERATIONS.len().pow(place as u32) % OPERATIONS.len());
    let [a, b, c, d, e, f] = digits.map(|digit| OPERATIONS[digit]);
    let size: usize = digits.iter().sum();
    // A fixed number that looks random.
    let noise = (number * 7919 + 104_729) % 1000;
    Entry {
        cell: format!("|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"),
        percent: 60.0 + (2 * size).min(19) as f64 + noise as f64 / 100.0,
        // Rounded as tables are, and less sure.
        early_percent: 30.0 + (3 * size / 2).min(12) as f64 + (noise / 10 * 37 % 100) as f64 / 20.0,
        microseconds: (1000 + 400 * size + digits[0] * 150 + noise / 4) as u64,
        joules: (20 + 10 * size + 15 * digits[5] + noise / 20) as f64 / 1024.0,
    }
}

/// An experiment that searches a [`Table`] in the same folder: error, time and energy, with a bound on the error.
pub fn experiment() -> String {
    format!(
        r#"[search]
bounds = {{ error = 0.38 }}

[space]
name = "nasbench201"
channels = 4
cells = 1
operations = {OPERATIONS:?}

[replay]
log = "table.csv"

[replay.columns]
architecture = "network"
accuracy = {{ column = "top-1 %", unit = "percent" }}
time = {{ column = "latency_us", unit = "us" }}
energy = {{ column = "joules", unit = "j" }}
"#
    )
}

/// The same for two boards: `a` with the time and energy of the table, and `b` with a time alone, in ms, which the column
/// `early %` stands for.
pub fn two_boards() -> String {
    let measured =
        "time = { column = \"latency_us\", unit = \"us\" }\nenergy = { column = \"joules\", unit = \"j\" }\n";
    let both = format!("[replay.columns.targets.a]\n{measured}\n[replay.columns.targets.b]\ntime = \"early %\"\n");
    experiment().replace(measured, &format!("\n{both}"))
}

/// Overrides of [`experiment`] by which it also has short trainings, of 9 epochs instead of 90.
pub const SHORT_TRAININGS: [&str; 2] = [
    "replay.columns.accuracy={ column = \"top-1 %\", unit = \"percent\", epochs = 90 }",
    "replay.columns.short_accuracy={ column = \"early %\", unit = \"percent\", epochs = 9 }",
];

/// An experiment whose few small networks are really trained and timed here. Random search proposes the same networks for
/// all measurements.
pub fn live_experiment(epochs: u32, warm_up_ms: u32, time_limit_ms: u32) -> String {
    format!(
        r#"[search]
evaluations = 6
seed = 11
batch = 3

[strategy]
name = "random"

[space]
name = "nasbench201"
channels = 4
cells = 1
operations = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]

[data]
name = "digits"
limit = 200

[training]
epochs = {epochs}

[measuring]
warm_up_ms = {warm_up_ms}
time_limit_ms = {time_limit_ms}
"#
    )
}
