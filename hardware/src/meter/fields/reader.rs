//! Readings in lines of text, or of JSON.

use serde_json::Value;

use super::dates::Dates;
use super::numbers::{Column, Numbers, Rejected};
use super::units::{StampUnit, in_brackets};
use super::{Fields, MAX_LINE, Place};
use crate::cells::{self, BadNumber, Decimal, Separator, Thousands};
use crate::meter::power_meter::MOST_MW;

/// Columns that name a part of a processor; `-` stands for the whole (`turbostat`).
const PARTS: [&str; 5] = ["package", "node", "die", "core", "cpu"];

/// A reading as a line contains it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::meter) struct Row {
    /// The meter's own time, in ns since an arbitrary instant; since 1970 if it is a date.
    pub own_ns: Option<f64>,
    pub power_mw: f64,
    /// The value of one unit of the last printed digit, in mW.
    pub step_mw: f64,
}

/// Reads lines, whose header or first reading determines their layout.
#[derive(Debug, Clone, Default)]
pub(in crate::meter) struct LineReader {
    fields: Fields,
    layout: Option<Layout>,
    /// The header, or the last line before the first reading.
    header: Option<String>,
    /// How often the header came again.
    repeated: usize,
    /// The name before the value of the readings: `Power: 970 mW`.
    label: Option<String>,
    has_readings: bool,
}

/// [`Fields`] with each column's number, counted from 0.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Power, or volts and amperes, whose product it is.
    factors: Vec<Column>,
    /// Voltage that no column has, in mW/A; else 1.
    constant: f64,
    time: Option<(usize, StampUnit)>,
    dates: Dates,
    form: Form,
    decimal: Decimal,
    thousands: Thousands,
    /// Cells of the header or the first reading.
    width: Option<usize>,
    /// Cells of the first reading where blanks stand between them: units and dates may be cells that the header lacks.
    with_blanks: Option<usize>,
    /// Column of a processor's parts, and whether a row for the whole has come.
    parts: Option<usize>,
    has_whole: bool,
}

/// The form of the lines.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// Cells between separators; `Auto` until the header or a reading determines it.
    Cells(Separator),
    /// An object or a list, with the places of the columns.
    Json(Vec<Place>),
}

impl Fields {
    /// The columns' numbers according to a header; without names any line serves. The error names the first column that
    /// the line lacks.
    pub(super) fn layout(&self, header: &str) -> Result<Layout, Rejected> {
        let header = header.trim().trim_start_matches(['#', '\u{feff}']);
        let json = is_json(header).then(|| Form::Json(self.places().cloned().collect()));
        let separator = self.separator.of(header, false);
        let mut names = separator.cells(header);
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        let (has_names, mut next) = (self.has_names() && json.is_none(), 0..);
        let mut find = |place: &Place| match place {
            _ if json.is_some() => Ok(next.next().unwrap_or_default()),
            Place::Number(number) => Ok(number.saturating_sub(1)),
            Place::Name(name) => find_name(&names, name.trim()),
        };
        let mut factors = Vec::new();
        for (place, unit) in self.factors() {
            let at = find(place)?;
            let in_header = names.get(at).filter(|_| has_names).and_then(|name| unit.quantity().unit_in(name));
            factors.push(Column { at, unit, in_header });
        }
        let time = self.time.as_ref().map(|field| Ok::<_, Rejected>((find(&field.column)?, field.unit)));
        let time = time.transpose()?;
        let is_part = |name: &String| PARTS.iter().any(|part| name.eq_ignore_ascii_case(part));
        Ok(Layout {
            factors,
            constant: self.constant_volts().map_or(1.0, |volts| volts * 1e3),
            time,
            dates: Dates::default(),
            form: json.unwrap_or(Form::Cells(if has_names { separator } else { self.separator })),
            decimal: Decimal::default(),
            thousands: Thousands::default(),
            width: has_names.then_some(names.len()),
            with_blanks: None,
            parts: names.iter().position(is_part).filter(|_| has_names),
            has_whole: false,
        })
    }
}

/// The place of a column with a name, which may lack the unit in brackets.
fn find_name(names: &[String], name: &str) -> Result<usize, Rejected> {
    let places = |is_it: &dyn Fn(&str) -> bool| (0..names.len()).filter(|at| is_it(&names[*at])).collect::<Vec<_>>();
    let mut found = places(&|header| header.eq_ignore_ascii_case(name));
    if found.is_empty() {
        found = places(&|header| in_brackets(header).is_some_and(|(bare, _)| bare.eq_ignore_ascii_case(name)));
    }
    match found[..] {
        [] => Err(Rejected::Damaged(format!("the header lacks the column {name:?}"))),
        [at] => Ok(at),
        _ => {
            let count = found.len();
            Err(Rejected::Contradiction(format!("{count} columns are called {name:?}: name it by its number")))
        }
    }
}

impl LineReader {
    pub fn new(fields: Fields) -> Self {
        Self { fields, ..Self::default() }
    }

    pub fn knows_layout(&self) -> bool {
        self.layout.is_some()
    }

    /// A note about headers in the midst of readings, which were left out.
    pub fn note(&self) -> Option<String> {
        let is_usual = self.layout.as_ref().is_none_or(|layout| layout.has_whole);
        let times = self.repeated;
        (times > 0 && !is_usual).then(|| format!("the header comes again {times} time(s) among the readings: left out"))
    }

    /// The reading in a line; `None` for a header, and for a part of a processor beside the whole.
    pub fn read(&mut self, line: &str) -> Result<Option<Row>, Rejected> {
        if line.len() > MAX_LINE {
            return Err(Rejected::Damaged(format!("it has {} bytes, more than any reading", line.len())));
        }
        if let Some(disguise) = cells::disguise(line.as_bytes()) {
            return Err(Rejected::Damaged(disguise.to_owned()));
        }
        let line = line.trim();
        let result = self.read_line(line);
        // Without names, the last line of words before the numbers is the header.
        let is_header = matches!(result, Ok(None)) || !self.fields.has_names() && line.contains(char::is_alphabetic);
        if is_header && !self.has_readings && !matches!(result, Ok(Some(_))) {
            self.header = Some(line.to_owned());
        }
        let label = label(line);
        if !matches!(result, Ok(Some(_))) {
            let hint = |reason| match label {
                Some(label) => format!("{reason}: the line has one value, {label:?}, and a reading must be one line"),
                None => reason,
            };
            return result.map_err(|rejected| rejected.map(hint));
        }
        match (&self.label, label) {
            (Some(first), label) if self.has_readings && label != Some(first) => {
                return Err(Rejected::Contradiction(format!(
                    "its readings span several lines, {first:?} and {:?} among them: let it print each reading in one line",
                    label.unwrap_or(line)
                )));
            }
            (None, Some(label)) if !self.has_readings => self.label = Some(label.to_owned()),
            _ => {}
        }
        self.has_readings = true;
        result
    }

    fn read_line(&mut self, line: &str) -> Result<Option<Row>, Rejected> {
        if self.has_readings && self.header.as_deref() == Some(line) {
            self.repeated += 1;
            return Ok(None);
        }
        let (is_new, header, has_readings) = (self.layout.is_none(), self.header.as_deref(), self.has_readings);
        let layout = match &mut self.layout {
            Some(layout) => layout,
            None => self.layout.insert(self.fields.layout(line)?),
        };
        if is_new && self.fields.has_names() && matches!(layout.form, Form::Cells(_)) {
            return Ok(None);
        }
        layout.read_after(line, header.filter(|_| !has_readings))
    }
}

impl Layout {
    /// Reads a line. The first reading determines the format for all that follow, if the header has not.
    #[cfg(test)]
    pub fn read(&mut self, line: &str) -> Result<Row, Rejected> {
        self.read_after(line, None)?.ok_or_else(|| Rejected::Damaged("it is a part".to_owned()))
    }

    /// The same behind a line that may be a header. `None` for a part of a processor.
    fn read_after(&mut self, line: &str, header: Option<&str>) -> Result<Option<Row>, Rejected> {
        let line = line.trim();
        let has_one = self.factors.iter().map(|column| column.at).chain(self.time.map(|(at, _)| at)).all(|at| at == 0);
        let (cells, separator, is_unclear) = match &self.form {
            Form::Json(places) => (json_cells(line, places)?, None, false),
            Form::Cells(given) => {
                let separator = given.of(line, has_one);
                (separator.cells(line), Some(separator), given.is_unclear(line, has_one))
            }
        };
        match self.parts.and_then(|part| cells.get(part)).map(String::as_str) {
            Some("-") => self.has_whole = true,
            _ if self.has_whole => return Ok(None),
            _ => {}
        }
        let width = self.width.unwrap_or(cells.len());
        let is_torn = cells.len() < width || cells[width..].iter().any(|cell| !cell.is_empty());
        if let (Some(separator @ (Separator::Comma | Separator::Semicolon | Separator::Tab)), None) =
            (separator, self.width)
        {
            let before = header.map_or(0, |header| separator.cells(header).len());
            if (2..cells.len()).contains(&before) {
                return Err(Rejected::Damaged(format!("it has {} cells, the line before it {before}", cells.len())));
            }
        }
        let mut decimal = self.decimal;
        cells.iter().try_for_each(|cell| decimal.notice(cell))?;
        let has_commas = separator == Some(Separator::Comma);
        let has_blanks = separator == Some(Separator::Blanks);
        let mut numbers =
            Numbers { cells: &cells, decimal: &mut decimal, dates: &mut self.dates, has_commas, has_blanks };
        let (mut power_mw, mut step_mw) = (self.constant, 0.0);
        let read = self.factors.iter().map(|column| numbers.value(column)).collect::<Result<Vec<_>, _>>();
        let own_ns = self.time.map(|(column, unit)| numbers.stamp(column, unit)).transpose();
        if is_torn && separator.is_some_and(|separator| separator != Separator::Blanks) {
            // Numbers of a line with other cells are others.
            return Err(Rejected::Damaged(format!("it has {} cells instead of {width}", cells.len())));
        }
        for (value, step) in read? {
            (power_mw, step_mw) = (power_mw * value, step_mw * value.abs() + power_mw.abs() * step);
        }
        if let Some(before) = self.with_blanks.filter(|before| cells.len() < *before) {
            // An empty cell is none between blanks: those behind it stand in other columns.
            return Err(Rejected::Damaged(format!("it has {} cells instead of {before}", cells.len())));
        }
        if power_mw.abs() > MOST_MW {
            return Err(Rejected::Damaged(format!("{:.0} W is more than any meter here reads", power_mw / 1e3)));
        }
        let own_ns = own_ns?;
        if is_unclear {
            return Err(Rejected::Contradiction(
                "its commas may be decimal signs or stand between cells: name the `separator` of the columns, \"blanks\" or \
                 \"comma\""
                    .to_owned(),
            ));
        }
        self.check_thousands(&cells, decimal)?;
        if let Some(separator) = separator {
            (self.form, self.width) = (Form::Cells(separator), Some(width));
        }
        if has_blanks {
            self.with_blanks.get_or_insert(cells.len());
        }
        self.decimal = decimal;
        Ok(Some(Row { own_ns, power_mw, step_mw }))
    }
}

impl Layout {
    /// Rejects a power such as `1,200` among powers such as `950`: it may be a decimal or have a separator of thousands.
    fn check_thousands(&mut self, cells: &[String], decimal: Decimal) -> Result<(), BadNumber> {
        // One line may be cut.
        const MOST_CUT: usize = 1;
        let [Column { at, .. }] = self.factors[..] else { return Ok(()) };
        let Some(cell) = cells.get(at).filter(|_| !matches!(self.form, Form::Json(_))) else { return Ok(()) };
        self.thousands.add(cell, decimal, MOST_CUT)
    }
}

fn is_json(line: &str) -> bool {
    line.starts_with('{')
}

/// The values of columns in a line of JSON, in the order of their places.
fn json_cells(line: &str, places: &[Place]) -> Result<Vec<String>, Rejected> {
    let damaged = |problem: String| Rejected::Damaged(problem);
    // Lines of a list end with a comma.
    let value: Value = serde_json::from_str(line.trim_end_matches(','))
        .map_err(|_| damaged("it is not a JSON object, as the lines before it are".to_owned()))?;
    let cell = |place: &Place| {
        let Place::Name(name) = place else {
            return Err(damaged(format!("{place:?} is not the name of a JSON value: name the column by it")));
        };
        let nested = || name.split('.').try_fold(&value, |value, key| value.get(key));
        match value.get(name).or_else(nested) {
            None => Err(Rejected::Missing(format!("it lacks the value {name:?}"))),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(value) => Ok(value.to_string()),
        }
    };
    places.iter().map(cell).collect()
}

/// The name in a line of one value: `20:38:00.040 -> Power:  970.00 mW`.
fn label(line: &str) -> Option<&str> {
    let line = line.rsplit_once("->").map_or(line, |(_, rest)| rest);
    let (label, value) = line.split_once(':')?;
    let is_label = label.trim().starts_with(char::is_alphabetic) && !label.contains([',', ';', '\t', '"']);
    let value = value.trim_start();
    let is_value = value.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    // The colon of a time of day follows no name.
    (is_label && is_value && value.get(2..3) != Some(":")).then(|| label.trim())
}
