//! Lines of `tegrastats`, NVIDIA's monitor on Jetson boards.
//!
//! Rails, temperatures and clocks differ by board, by release, and by whether it ran as root.
//! All have two things in common: a line begins with `RAM`, perhaps after a date and time, and names
//! and values alternate. Formats were collected from TX1 to AGX Thor, JetPack 3 to 7.
//!
//! A line can be cut if it is read from a pipe. The parser notices most cuts, but not one right after a field, or
//! within a number that may also be complete (`@140` cut to `@14`): give [`parse`] only lines that ended in a line
//! break.

use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::vec::IntoIter;

use super::{Condition, RailPower};
use crate::shown::start_of;

/// Longest line that is read, in bytes. Real ones have less than a thousand.
const MAX_LINE: usize = 16 * 1024;
/// Longest name of a field, in bytes.
const MAX_NAME: usize = 64;
/// Highest plausible power of a rail, in mW: 1 kW, far more than any Jetson draws.
const MAX_POWER_MW: f64 = 1e6;
const MAX_CLOCK_MHZ: f64 = 1e5;
const MAX_CELSIUS: f64 = 300.0;
/// The value of a sensor whose part of the chip is switched off.
const SENSOR_OFF_CELSIUS: f64 = -256.0;
const MEMORY: &str = "an amount of memory: `used/totalMB`";

/// The content of one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stats {
    /// Power of each rail that is connected, in the order of the line. Empty where the board prints none, as a TX2 does
    /// without root. Each is the power at the moment of the line, not the average over the run of `tegrastats` next to
    /// it.
    pub rails: Vec<RailPower>,
    /// Names and temperatures, in °C, of the sensors that are on.
    pub temperatures: Vec<(String, f64)>,
    /// Clock of the GPU, in MHz; the mean over its clusters if each has its own. Missing without root on most releases.
    pub gpu_clock_mhz: Option<f64>,
}

impl Stats {
    /// Temperature and clock of the GPU; the hottest junction if the GPU has no sensor.
    pub fn condition(&self, at_ns: u64) -> Condition {
        let celsius = |name: &str| {
            self.temperatures.iter().find(|(sensor, _)| sensor.eq_ignore_ascii_case(name)).map(|(_, celsius)| *celsius)
        };
        let temperature_c = ["gpu", "tj", "thermal"].into_iter().find_map(celsius);
        Condition { at_ns, temperature_c, clock_mhz: self.gpu_clock_mhz }
    }
}

/// Reads one line.
///
/// A field that looks like power, `NAME number/number` without a unit of memory, is a rail of that name: new boards
/// have new rails. The result omits rails called `NC`, which are not connected, and sensors that are off.
/// Another line, a visibly cut one, or an impossible value is an error that names the field.
pub(super) fn parse(line: &str) -> Result<Stats, String> {
    if line.len() > MAX_LINE {
        return Err(format!("a line of {} bytes is not one of tegrastats (at most {MAX_LINE} are read)", line.len()));
    }
    let mut fields = Fields { tokens: tokens(line)?.into_iter().peekable(), stats: Stats::default() };
    fields.skip_date_and_memory()?;
    while let Some(name) = fields.tokens.next() {
        if name.starts_with('(') {
            // It belongs to the memory before it: `(lfb 4x4MB)`.
        } else if let Some((sensor, value)) = name.split_once('@') {
            fields.temperature(sensor, value)?;
        } else {
            fields.named(name)?;
        }
    }
    Ok(fields.stats)
}

/// Words of a line; a bracketed expression is one word.
fn tokens(line: &str) -> Result<Vec<&str>, String> {
    let mut closing = None;
    let is_border = |character: char| {
        match (character, closing) {
            ('[', None) => closing = Some(']'),
            ('(', None) => closing = Some(')'),
            (_, Some(bracket)) if character == bracket => closing = None,
            _ => {}
        }
        character.is_whitespace() && closing.is_none()
    };
    let tokens: Vec<&str> = line.split(is_border).filter(|token| !token.is_empty()).collect();
    if closing.is_some() {
        // A round bracket follows a name and a value, a square one follows a name.
        let words = 2 + usize::from(closing == Some(')'));
        return Err(cut(&tokens[tokens.len().saturating_sub(words)..].join(" ")));
    }
    Ok(tokens)
}

struct Fields<'a> {
    tokens: Peekable<IntoIter<&'a str>>,
    stats: Stats,
}

impl<'a> Fields<'a> {
    fn skip_date_and_memory(&mut self) -> Result<(), String> {
        let is_date = |token: &&str| {
            token.starts_with(|c: char| c.is_ascii_digit())
                && token.chars().all(|c| c.is_ascii_digit() || "-:/.".contains(c))
        };
        while self.tokens.next_if(is_date).is_some() {}
        let name = self.tokens.next().unwrap_or_default();
        if name != "RAM" {
            return Err(format!(
                "not a line of tegrastats: {:?} is not `RAM used/totalMB`, which each line begins with",
                clip(name)
            ));
        }
        let value = self.value(name)?;
        if is_memory(value) { Ok(()) } else { Err(self.bad(name, value, MEMORY)) }
    }

    fn temperature(&mut self, sensor: &str, value: &str) -> Result<(), String> {
        if !is_name(sensor) {
            return Err(self.bad("a temperature", sensor, "the name of a sensor"));
        }
        // Since JetPack 7 a second number follows, over the whole run.
        let celsius = numbers(value, "C").filter(|numbers| numbers.len() <= 3);
        let celsius = celsius.ok_or_else(|| self.bad(sensor, value, "a temperature: `39.5C`"))?[0];
        within(sensor, celsius, -MAX_CELSIUS..=MAX_CELSIUS, "300 °C")?;
        if celsius != SENSOR_OFF_CELSIUS {
            self.stats.temperatures.push((sensor.to_owned(), celsius));
        }
        Ok(())
    }

    fn named(&mut self, name: &'a str) -> Result<(), String> {
        if !is_name(name) {
            return Err(self.bad("a field", name, "a name"));
        }
        if name == "RAM" {
            return Err(repeated(name));
        }
        // The only field with two values, `MTS fg 0% bg 0%`: the words after the name are fields again.
        if name == "MTS" && self.tokens.peek() == Some(&"fg") {
            return Ok(());
        }
        let value = self.value(name)?;
        if value.starts_with('[') {
            let clocks_mhz = clocks_of_cores(value);
            let expected = "loads and clocks of the cores: `[4%@1420,off]`";
            let clocks_mhz = clocks_mhz.ok_or_else(|| self.bad(name, value, expected))?;
            return clocks_mhz.into_iter().try_for_each(|mhz| plausible_clock(name, mhz).map(drop));
        }
        if value.contains(['%', '@']) {
            return self.load(name, value);
        }
        if value.contains('/') {
            return if is_memory(value) { Ok(()) } else { self.rail(name, value) };
        }
        let is_off = value == "off" && !looks_like_rail(name) && name != "GR3D";
        // Half of a rail (`VDD_IN 19`) looks like a lone number, which only engines have.
        let is_lone = has_lone_number(name) || self.tokens.peek().is_some() && !looks_like_rail(name);
        if is_off || number(value).is_some() && is_lone {
            return Ok(());
        }
        Err(self.bad(name, value, "a value of that field"))
    }

    fn load(&mut self, name: &str, value: &str) -> Result<(), String> {
        let read = load_and_clocks(value).ok_or_else(|| self.bad(name, value, "a load or a clock: `5%@1275`"));
        let (load, clocks_mhz) = read?;
        let clock_mhz = if clocks_mhz.is_empty() {
            None
        } else {
            Some(plausible_clock(name, clocks_mhz.iter().sum::<f64>() / clocks_mhz.len() as f64)?)
        };
        if matches!(name, "GR3D_FREQ" | "GR3D") {
            within(name, load.unwrap_or(0.0), 0.0..=100.0, "0 to 100 %")?;
            self.stats.gpu_clock_mhz = clock_mhz;
        }
        Ok(())
    }

    fn rail(&mut self, name: &str, value: &str) -> Result<(), String> {
        const EXPECTED: &str = "power in mW: `current/average`, or `current/average/highest`";
        // Without their unit, which a cut removes, these would look like rails.
        if name == "SWAP" || name == "IRAM" {
            return Err(self.bad(name, value, MEMORY));
        }
        let powers_mw = numbers(value, "mW").or_else(|| numbers(value, ""));
        let powers_mw = powers_mw.filter(|powers| (2..=3).contains(&powers.len()));
        let powers_mw = powers_mw.ok_or_else(|| self.bad(name, value, EXPECTED))?;
        for power_mw in &powers_mw {
            within(name, *power_mw, -MAX_POWER_MW..=MAX_POWER_MW, "1 000 000 mW")?;
        }
        if self.stats.rails.iter().any(|rail| rail.name == name) {
            return Err(repeated(name));
        }
        if name != "NC" {
            self.stats.rails.push(RailPower { name: name.to_owned(), power_mw: powers_mw[0] });
        }
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<&'a str, String> {
        self.tokens.next().ok_or_else(|| cut(name))
    }

    /// An invalid field at the end of a line was cut.
    fn bad(&mut self, field: &str, value: &str, expected: &'static str) -> String {
        if self.tokens.peek().is_some() {
            format!("{} is {:?}, which is not {expected}", clip(field), clip(value))
        } else {
            cut(&format!("{field} {value}"))
        }
    }
}

/// The clocks in `[4%@1420,off,...]`; very old releases print one clock after the bracket.
fn clocks_of_cores(value: &str) -> Option<Vec<f64>> {
    let (cores, common) = value.strip_prefix('[')?.split_once(']')?;
    let mut clocks_mhz = if common.is_empty() { Vec::new() } else { vec![number(common.strip_prefix('@')?)?] };
    for core in cores.split(',').map(str::trim).filter(|&core| core != "off") {
        clocks_mhz.extend(load_and_clocks(core)?.1);
    }
    Some(clocks_mhz)
}

/// `5%`, `5%@1275`, `5%@[407,407]`, `@314`, `@[314,314]`.
fn load_and_clocks(value: &str) -> Option<(Option<f64>, Vec<f64>)> {
    let (load, clocks) = value.split_once('@').map_or((value, None), |(load, clocks)| (load, Some(clocks)));
    let load = if load.is_empty() { None } else { Some(number(load.strip_suffix('%')?)?) };
    let Some(clocks) = clocks else { return Some((load, Vec::new())) };
    let list = clocks.strip_prefix('[').map_or(Some(clocks), |rest| rest.strip_suffix(']'))?;
    Some((load, list.split(',').map(|clock| number(clock.trim())).collect::<Option<_>>()?))
}

fn plausible_clock(field: &str, mhz: f64) -> Result<f64, String> {
    within(field, mhz, 0.0..=MAX_CLOCK_MHZ, "0 to 100 000 MHz")
}

/// `278/8192MB`, perhaps with a bracket right after it.
fn is_memory(value: &str) -> bool {
    let amount = value.split('(').next().unwrap_or_default();
    let Some((used, total)) = amount.split_once('/') else { return false };
    let digits = total.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &total[digits.len()..];
    number(used).is_some() && number(digits).is_some() && matches!(unit, "B" | "kB" | "KB" | "MB" | "GB" | "TB")
}

/// Engines and the audio processor have a clock and nothing else on some releases.
fn has_lone_number(name: &str) -> bool {
    const ENGINES: [&str; 10] = ["APE", "VIC", "MSENC", "NVENC", "NVDEC", "NVJPG", "OFA", "SE", "NVDLA", "PVA"];
    let loaded = matches!(name, "GR3D_FREQ" | "EMC_FREQ");
    let engine = name.trim_end_matches(|c: char| c.is_ascii_digit());
    !loaded && (ENGINES.contains(&engine) || name.ends_with("_FREQ"))
}

fn looks_like_rail(name: &str) -> bool {
    let bare = matches!(name, "GPU" | "CPU" | "SOC" | "CV" | "VDDRQ" | "SYS5V");
    bare || ["VDD", "VIN", "POM_"].iter().any(|start| name.starts_with(start))
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+".contains(c))
}

/// Numbers between slashes, each with its unit.
fn numbers(text: &str, unit: &str) -> Option<Vec<f64>> {
    text.split('/').map(|part| part.strip_suffix(unit).and_then(number)).collect()
}

/// A plain decimal number. Rust would also read `inf`, `nan` and `1e9`.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts = digits.len() <= 20 && digits.starts_with(|c: char| c.is_ascii_digit());
    let plain = starts && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

fn cut(field: &str) -> String {
    format!("the line is cut off in {}", clip(field))
}

fn within(field: &str, value: f64, range: RangeInclusive<f64>, bound: &str) -> Result<f64, String> {
    let problem = || format!("{} is {value}, beyond what can be ({bound})", clip(field));
    if range.contains(&value) { Ok(value) } else { Err(problem()) }
}

fn repeated(field: &str) -> String {
    format!("{} is there twice; two lines ran into one another", clip(field))
}

fn clip(text: &str) -> String {
    start_of(text, 60)
}

#[cfg(test)]
mod tests;
