//! Readings of several rails.

use super::sysfs;
use crate::meter::collected::Collected;
use crate::meter::ina3221::Sensor;
use crate::meter::poll::parse_whole;
use crate::meter::rails::total_of;
use crate::meter::tegrastats;
use crate::meter::{MeterError, Point, RailPower, Reading, Total, Trace};
use crate::remote::{JobEvent, sudo_refuses};
use crate::shown::start_of;

/// Number of lines without power rails, or with unknown ones, before the first complete line that shows a fault of the
/// board: cut lines alone cause fewer.
const MOST_WITHOUT_RAILS: usize = 5;

/// The remedy if sudo does not run a command.
pub(crate) const PASSWORD_ADVICE: &str = ". Give the user a rule without a password for tegrastats, nvpmodel, \
     jetson_clocks and kill (`sudo visudo -f /etc/sudoers.d/controller`)";

/// Form of the readings.
pub(super) enum Form {
    /// Lines of tegrastats, run with or without sudo.
    Tegrastats { sudo: bool },
    /// Values of the files of sensors, which are rails of a board.
    Rails(Vec<Sensor>),
    /// Values of the files of sensors, whose sum is one rail.
    Sum(Vec<Sensor>),
}

/// The readings so far, on the clock of the machine of the meter.
pub(super) struct Rails {
    form: Form,
    /// The readings of the total.
    pub collected: Collected,
    pub trace: Trace,
    /// The rails that make up the whole board, known after the first reading.
    pub total: Option<Total>,
    without_rails: usize,
    unknown_rails: usize,
}

impl Rails {
    /// No readings so far.
    pub fn new(form: Form) -> Self {
        let total = matches!(form, Form::Sum(_)).then(|| Total::measured(sysfs::NAME));
        let (collected, trace) = (Collected::begin(Vec::new()), Trace::default());
        Self { form, collected, trace, total, without_rails: 0, unknown_rails: 0 }
    }

    /// All rails of the readings whose total is possible, with doubts about it.
    pub fn finish(&mut self, label: &str) -> Result<Trace, MeterError> {
        let (kept, notes) = std::mem::take(&mut self.collected).finish(label)?;
        let mut trace = Trace { notes, ..std::mem::take(&mut self.trace) };
        trace.keep(&kept);
        Ok(trace)
    }

    /// Adds a line of tegrastats, or the values of the files.
    pub fn take(&mut self, event: &JobEvent, label: &str) {
        let result = match event {
            JobEvent::Line { at_ns, text } => self.line(*at_ns, text),
            JobEvent::Values { at_ns, values } => self.values(*at_ns, values),
            JobEvent::Ended { .. } => return,
        };
        self.collected.take(label, result);
    }

    fn line(&mut self, at_ns: u64, text: &str) -> Result<Vec<Point>, MeterError> {
        // The error budget covers half a line at the beginning, an empty one, and a warning of sudo's.
        let rejected = |reason: &str| MeterError::Read(format!("{reason} in {:?}", start_of(text, 80)));
        let stats = tegrastats::parse(text).map_err(|error| rejected(&error))?;
        if stats.rails.is_empty() {
            self.without_rails += 1;
            // A cut line may lack them.
            let is_cut = self.without_rails < MOST_WITHOUT_RAILS || !self.trace.readings().is_empty();
            return Err(if is_cut { rejected("no power rails") } else { self.no_rails() });
        }
        let condition = stats.condition(at_ns);
        let points = self.reading(at_ns, stats.rails)?;
        self.trace.conditions.push(condition);
        Ok(points)
    }

    fn values(&mut self, at_ns: u64, values: &[String]) -> Result<Vec<Point>, MeterError> {
        let (Form::Rails(sensors) | Form::Sum(sensors)) = &self.form else { return Ok(Vec::new()) };
        let mut values = values.iter();
        let number = |file: &str| parse_whole(file, values.next().map(String::as_str).unwrap_or_default());
        let mut rails = sysfs::powers(sensors, number)?;
        if matches!(self.form, Form::Sum(_)) {
            let power_mw = rails.iter().map(|rail| rail.power_mw).sum();
            rails = vec![RailPower { name: sysfs::NAME.to_owned(), power_mw }];
        }
        self.reading(at_ns, rails)
    }

    /// Adds a reading to the trace, and returns the total's.
    fn reading(&mut self, at_ns: u64, rails: Vec<RailPower>) -> Result<Vec<Point>, MeterError> {
        let total = self.total_of(&rails)?;
        let power_mw = total.power_mw(&rails).ok_or_else(|| {
            MeterError::Read(format!("a rail of the total {} is missing or there twice", total.label()))
        })?;
        if self.trace.push(Reading { at_ns, rails }) {
            return Ok(vec![Point { at_ns, power_mw }]);
        }
        Err(MeterError::Read("its time stamp is not later than that of the one before".to_owned()))
    }

    /// The total, which the first reading with known rails determines.
    fn total_of(&mut self, rails: &[RailPower]) -> Result<Total, MeterError> {
        if let Some(total) = &self.total {
            return Ok(total.clone());
        }
        let names: Vec<&str> = rails.iter().map(|rail| rail.name.as_str()).collect();
        if let Some(total) = total_of(&names) {
            return Ok(self.total.insert(total).clone());
        }
        let names = names.join(", ");
        let problem = format!("the board has the power rails {names}, and how they make up the whole is not known");
        self.unknown_rails += 1;
        // A cut line may contain some of the rails.
        let is_cut = self.unknown_rails < MOST_WITHOUT_RAILS;
        Err(if is_cut { MeterError::Read(problem) } else { MeterError::Settings(problem) })
    }

    /// Records that reading has ended by itself.
    pub fn ended(&mut self, how: &str, label: &str) {
        let printed = &self.collected.budget.last_reason;
        let error = match self.form {
            Form::Tegrastats { .. } if sudo_refuses(printed) => {
                MeterError::Settings(format!("sudo does not let the user run tegrastats ({printed}){PASSWORD_ADVICE}"))
            }
            Form::Tegrastats { .. } if printed.is_empty() => MeterError::ended(label, how, ""),
            Form::Tegrastats { .. } => MeterError::ended(label, how, &format!("; it had printed: {printed}")),
            Form::Rails(_) | Form::Sum(_) => MeterError::Failed(format!("{label} {how}")),
        };
        self.collected.fail(error);
    }

    fn no_rails(&self) -> MeterError {
        let rights = if matches!(self.form, Form::Tegrastats { sudo: true }) {
            "although sudo runs it"
        } else {
            "for want of rights, as on a TX2 without sudo = true and a rule that lets the user run it without a password \
             (`sudo visudo -f /etc/sudoers.d/controller`), or because the board has none"
        };
        MeterError::Settings(format!(
            "tegrastats prints no power rails, {rights}. For a board without monitors (Nano 2GB, TX1, some containers) set \
             `meter.kind = \"none\"` in its section [devices.NAME] to measure time alone, or name a meter in its supply"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_that_are_left_out_are_not_in_the_trace() {
        let sensor =
            Sensor { name: "VDD".to_owned(), files: vec!["power1_input".to_owned()], factor: 1e-3, mean_ms: 0 };
        let mut rails = Rails::new(Form::Sum(vec![sensor]));
        for at_ns in 1..=100 {
            let value = if at_ns % 20 == 0 { "-5000000" } else { "2000000" };
            rails.take(&JobEvent::Values { at_ns, values: vec![value.to_owned()] }, "m");
        }
        let trace = rails.finish("m").unwrap();
        assert!(trace.notes[0].starts_with("5 of 100 readings"), "{:?}", trace.notes);
        let points = trace.rail(sysfs::NAME);
        assert!(points.len() == 95 && points.iter().all(|point| point.power_mw == 2000.0), "{points:?}");
    }
}
