//! Means and percentiles of the timed runs.

use super::Line;
use crate::shown::start_of;

/// No time is beyond that, in ms or s.
const LARGEST: f64 = 1e9;
/// Means are summed up in single precision there, which over millions of runs is off by this much.
const SUMMED: f64 = 0.02;

/// Statistics over the timed runs, in milliseconds, as they were printed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::jetson) struct Summary {
    /// Mean, in ms.
    pub mean_ms: f64,
    /// Fastest run, in ms.
    pub min_ms: Option<f64>,
    /// Slowest run, in ms.
    pub max_ms: Option<f64>,
    /// Median, in ms.
    pub median_ms: Option<f64>,
    /// 90th percentile, in ms.
    pub p90_ms: Option<f64>,
    /// 95th percentile, in ms.
    pub p95_ms: Option<f64>,
    /// 99th percentile, in ms.
    pub p99_ms: Option<f64>,
}

/// What is known so far of one kind of time.
#[derive(Debug, Clone, Default)]
struct Partial {
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    median: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// Which times the lines of version 7 below a head are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Block {
    Compute,
    Host,
    #[default]
    Other,
}

/// Gathers the statistics line by line.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    compute: Partial,
    host: Partial,
    block: Block,
}

impl Summaries {
    pub(super) fn take(&mut self, message: &str, line: Line) -> Result<(), String> {
        match message {
            "GPU Compute" => self.block = Block::Compute,
            "Host Latency" => self.block = Block::Host,
            "Enqueue Time" => self.block = Block::Other,
            _ => {
                for (head, block) in [("GPU Compute Time: ", Block::Compute), ("Latency: ", Block::Host)] {
                    // Verbose output explains the same words below the numbers.
                    if let Some(list) = message.strip_prefix(head).filter(|list| list.starts_with("min")) {
                        return self.list(block, head, list, line);
                    }
                }
                self.line_of_block(message, line)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> (Option<Summary>, Option<Summary>) {
        (self.compute.finish(), self.host.finish())
    }

    /// `min = 1.2 ms, max = 1.4 ms, mean = 1.3 ms, median = 1.3 ms, percentile(99%) = 1.4 ms`
    fn list(&mut self, block: Block, head: &str, list: &str, line: Line) -> Result<(), String> {
        for pair in list.split(", ") {
            let Some((key, text)) = pair.split_once(" = ") else {
                if line.whole {
                    return Err(not_a_number(line, head.trim_end_matches(": "), pair));
                }
                continue;
            };
            let key = match key.strip_prefix("percentile(").and_then(|rest| rest.strip_suffix("%)")) {
                Some(percent) => percent,
                None => key,
            };
            self.set(block, key, text, line)?;
        }
        self.check(block, line)
    }

    /// `mean: 4.5 ms (end to end 4.6 ms)`, `percentile: 5.4 ms at 99% (…)`.
    fn line_of_block(&mut self, message: &str, line: Line) -> Result<(), String> {
        let Some((key, text)) = message.split_once(": ") else { return Ok(()) };
        if self.block == Block::Other || !matches!(key, "min" | "max" | "mean" | "median" | "percentile") {
            return Ok(());
        }
        let text = text.split(" (").next().unwrap_or_default();
        let (text, key) = match text.split_once(" at ") {
            Some((text, percent)) if key == "percentile" => (text, percent.trim_end_matches('%')),
            _ => (text, key),
        };
        self.set(self.block, key, text, line)?;
        self.check(self.block, line)
    }

    fn partial(&mut self, block: Block) -> (&'static str, &mut Partial) {
        match block {
            Block::Host => ("host latency", &mut self.host),
            Block::Compute | Block::Other => ("GPU compute time", &mut self.compute),
        }
    }

    fn set(&mut self, block: Block, key: &str, text: &str, line: Line) -> Result<(), String> {
        let (what, partial) = self.partial(block);
        let (name, slot) = match key {
            "min" => ("min", &mut partial.min),
            "max" => ("max", &mut partial.max),
            "mean" => ("mean", &mut partial.mean),
            "median" => ("median", &mut partial.median),
            "90" => ("90th percentile", &mut partial.p90),
            "95" => ("95th percentile", &mut partial.p95),
            "99" => ("99th percentile", &mut partial.p99),
            _ => return Ok(()),
        };
        let field = format!("{name} of the {what}");
        let Some(ms) = value(line, &field, text, "ms")? else { return Ok(()) };
        match slot.replace(ms) {
            Some(before) if before != ms => Err(format!(
                "line {}: {field} is {ms} ms, and was {before} ms before; give the output of one run",
                line.number
            )),
            _ => Ok(()),
        }
    }

    /// Percentiles must be in order.
    fn check(&mut self, block: Block, line: Line) -> Result<(), String> {
        let (what, partial) = self.partial(block);
        let Partial { mean, min, max, median, p90, p95, p99 } = *partial;
        let ordered: Vec<f64> = [min, median, p90, p95, p99, max].into_iter().flatten().collect();
        let beyond = match (mean, min, max) {
            (Some(mean), Some(min), Some(max)) => mean < min * (1.0 - SUMMED) || mean > max * (1.0 + SUMMED),
            _ => false,
        };
        if beyond || !ordered.is_sorted() {
            return Err(format!(
                "line {}: {what}: min, mean, median, percentiles and max exclude one another",
                line.number
            ));
        }
        Ok(())
    }
}

impl Partial {
    /// Statistics without a mean are the start of a cut output, and none.
    fn finish(self) -> Option<Summary> {
        let Self { mean, min, max, median, p90, p95, p99 } = self;
        Some(Summary {
            mean_ms: mean?,
            min_ms: min,
            max_ms: max,
            median_ms: median,
            p90_ms: p90,
            p95_ms: p95,
            p99_ms: p99,
        })
    }
}

/// A number with its unit. `None` where the output ends within it.
pub(super) fn value(line: Line, field: &str, text: &str, unit: &str) -> Result<Option<f64>, String> {
    let Some(number) = text.trim().strip_suffix(unit).and_then(|number| number.strip_suffix(' ')) else {
        return if line.whole { Err(not_a_number(line, field, text)) } else { Ok(None) };
    };
    // Rust would also read `inf`, `nan` and `infinity`.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    match number.parse::<f64>() {
        Ok(number) if plain && (0.0..=LARGEST).contains(&number) => Ok(Some(number)),
        _ => Err(not_a_number(line, field, text)),
    }
}

fn not_a_number(line: Line, field: &str, text: &str) -> String {
    format!(
        "line {}: {field} is {:?}, which is not a time from 0 to 1e9 with its unit",
        line.number,
        start_of(text, 40)
    )
}
