//! The one figure that a latency is taken from.

use std::fmt;

use super::report::Report;
use super::values::Mode;
use crate::statistic::Statistic;

/// Two statements about the same time may differ by so much of it.
const TOLERANCE: f64 = 0.1;
/// The tool's own loop takes time between two inferences, and `Duration` has it: 3 µs with 2021.4.2, 15 µs with 2026.4
/// on a server's processor, more on a slow one. By so much, in ms, duration / count may exceed the printed latency.
pub(super) const LOOP_MS: f64 = 0.05;
/// A mean that is rounded by no more than this, of itself, is as good as any.
const WELL_ROUNDED: f64 = 0.01;

/// The most precise figure for the latency of one inference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    /// Time of one inference, in ms.
    pub ms: f64,
    /// Its statistic over all inferences.
    pub statistic: Statistic,
    /// Where it was read.
    pub origin: Origin,
    /// By how much it may be off, in ms, for being rounded. Of duration / count beside a printed average: by how much
    /// that allows the tool's own loop to be in it.
    pub rounding_ms: f64,
}

/// Mean and median of all inferences, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// The mean; the median in place of a mean that is not known as well, where no median is asked for.
    pub mean_ms: f64,
    /// The median, where it is known well.
    pub median_ms: Option<f64>,
}

/// Where a figure was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is printed as a latency.
    Printed,
    /// It is `Duration` / `Count`.
    Duration,
    /// It is the time that `Throughput` was computed from.
    Throughput,
}

fn incomplete(missing: &str) -> String {
    format!("the output of benchmark_app has no {missing}: it failed, or was ended before it had measured")
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistic = self.statistic;
        let origin = match self.origin {
            Origin::Printed => "as printed",
            Origin::Duration => "from duration and count",
            Origin::Throughput => "from the throughput",
        };
        write!(f, "{statistic} {} ms {origin}", digits(self.ms))
    }
}

/// A number with four digits that count.
fn digits(number: f64) -> String {
    let magnitude = if number > 0.0 { number.log10().floor().clamp(-9.0, 9.0) } else { 0.0 };
    // From 0 to 12: a small whole number.
    let decimals = (3.0 - magnitude).clamp(0.0, 12.0) as usize;
    format!("{number:.decimals$}")
}

impl Figure {
    /// The error about a figure that is rounded by more than a tenth, also where 0.00 ms is printed.
    fn check_rounding(&self, each_ms: f64) -> Result<(), String> {
        if self.ms > 0.0 && self.rounding_ms / self.ms <= TOLERANCE {
            return Ok(());
        }
        Err(format!(
            "{self} is rounded to ±{:.0} %, and duration and count have the tool's own loop in them ({} ms each): take a \
             version of 2026 or newer, which prints microseconds",
            self.rounding_ms / self.ms * 100.0,
            digits(each_ms)
        ))
    }
}

impl Report {
    /// Mean and median, `statistic` among them. The mean of a busy machine may be far above the median.
    ///
    /// # Errors
    ///
    /// As [`figure`](Self::figure), and when the statistic is not printed, or rounded by more than 10 %.
    pub(super) fn figures(&self, statistic: Statistic) -> Result<Figures, String> {
        if statistic != Statistic::Median {
            let figure = self.figure()?;
            let median_ms = (figure.statistic == Statistic::Median).then_some(figure.ms);
            return Ok(Figures { mean_ms: figure.ms, median_ms });
        }
        let each_ms = self.each_ms()?;
        let median = self.median(each_ms)?.ok_or(
            "this version of benchmark_app prints no median: set \
                                                   measuring.statistic = \"mean\", or take another version",
        )?;
        median.check_rounding(each_ms)?;
        if each_ms < (median.ms - median.rounding_ms) * (1.0 - TOLERANCE) {
            return Err(self.contradiction(&median, each_ms));
        }
        let mean_ms = self.mean(each_ms, Some(median)).map_or(each_ms, |mean| mean.ms);
        Ok(Figures { mean_ms, median_ms: Some(median.ms) })
    }

    /// The latency of one inference, from whichever statement has the most digits, checked against the others.
    ///
    /// A printed average is taken; duration / count instead, which has more digits, where it rounds to the same. Where
    /// nothing but a median is printed (up to 2021), duration / count is the mean, unless it exceeds the median by more
    /// than 10 %. Where rounding takes more than 1 % of the mean, as of small networks before 2026, a median with less
    /// is taken: in synchronous mode versions up to 2023 compute the throughput from the median, so that it has its
    /// digits. If that is too far from duration / count, as under load, it is the mean again.
    ///
    /// # Errors
    ///
    /// When the output is not whole, has several requests at once, when the figure differs from duration /
    /// count by more than 10 % (and by more than what the tool's loop may take, if that is more), or when it is rounded
    /// by more than 10 %.
    pub(super) fn figure(&self) -> Result<Figure, String> {
        let each_ms = self.each_ms()?;
        let median = self.median(each_ms)?;
        let mean = self.mean(each_ms, median);
        let relative = |figure: &Figure| figure.rounding_ms / figure.ms;
        let figures = match (mean, median) {
            (Some(mean), Some(median)) if relative(&mean) > WELL_ROUNDED && relative(&median) < relative(&mean) => {
                [Some(median), Some(mean)]
            }
            (Some(mean), _) => [Some(mean), None],
            (None, median) => [median, None],
        };
        let mut figures = figures.into_iter().flatten().map(|figure| {
            figure.check_rounding(each_ms)?;
            let (least, most) = (figure.ms - figure.rounding_ms, figure.ms + figure.rounding_ms);
            if each_ms < least * (1.0 - TOLERANCE) || each_ms > (most * (1.0 + TOLERANCE)).max(most + LOOP_MS) {
                return Err(self.contradiction(&figure, each_ms));
            }
            Ok(figure)
        });
        let first = figures.next().ok_or_else(|| incomplete("latency"))?;
        first.or_else(|error| figures.next().and_then(Result::ok).ok_or(error))
    }

    fn contradiction(&self, figure: &Figure, each_ms: f64) -> String {
        format!(
            "benchmark_app contradicts itself: {figure}, but {} inferences in {} ms are {} ms each, {:+.0} %. Something else \
             may have been at work: measure again",
            self.count.unwrap_or_default(),
            self.duration_ms.unwrap_or_default(),
            digits(each_ms),
            (each_ms / figure.ms - 1.0) * 100.0
        )
    }

    /// Duration / count: the mean, with the tool's own loop in it.
    fn each_ms(&self) -> Result<f64, String> {
        let count = self.count.ok_or_else(|| incomplete("number of inferences"))?;
        let duration_ms = self.duration_ms.filter(|&ms| ms > 0.0).ok_or_else(|| incomplete("duration"))?;
        if let Some(Mode::Asynchronous { requests }) = self.mode
            && requests != Some(1)
        {
            let requests = requests.map_or("several".to_owned(), |requests| requests.to_string());
            return Err(format!(
                "benchmark_app had {requests} requests under way at once, which wait for one another; latency wants \
                 `-api sync -nireq 1`"
            ));
        }
        let each_ms = duration_ms / count as f64;
        Ok(each_ms)
    }

    /// Images of an inference. Where it is not printed it shows in the throughput, which counts every image.
    fn batch(&self, each_ms: f64) -> f64 {
        let implied = self.throughput_fps.map_or(1.0, |fps| fps * each_ms / 1000.0);
        self.batch.map_or(if implied > 1.9 { implied.round() } else { 1.0 }, |batch| batch.max(1) as f64)
    }

    /// Inferences a second.
    pub(super) fn throughput_per_s(&self) -> Option<f64> {
        Some(self.throughput_fps? / self.batch.map_or(1.0, |batch| batch.max(1) as f64))
    }

    /// The median, with the digits of the throughput if that was computed from it.
    fn median(&self, each_ms: f64) -> Result<Option<Figure>, String> {
        let half = self.latency.rounding_ms.unwrap_or(0.0);
        let statistic = Statistic::Median;
        let printed =
            self.latency.median_ms.map(|ms| Figure { ms, statistic, origin: Origin::Printed, rounding_ms: half });
        let batch = self.batch(each_ms);
        let Some(fps) = self.throughput_fps.filter(|&fps| fps > 0.0) else { return Ok(printed) };
        let fps = fps / batch;
        let expected_fps = 1000.0 / each_ms;
        // It is printed with two decimals.
        let rounding = 0.006 / batch / fps;
        if (fps / expected_fps - 1.0).abs() <= 0.001 + rounding {
            return Ok(printed);
        }
        let ms = 1000.0 / fps;
        match printed {
            Some(printed) if (ms - printed.ms).abs() <= half * 1.01 + ms * rounding => {
                Ok(Some(Figure { ms, origin: Origin::Throughput, rounding_ms: (ms * rounding).min(half), ..printed }))
            }
            _ if (fps / expected_fps - 1.0).abs() <= TOLERANCE => Ok(printed),
            _ => Err(format!(
                "benchmark_app contradicts itself: {fps} FPS is neither {} FPS, as duration and count have it, nor what \
                 the latency makes",
                digits(expected_fps)
            )),
        }
    }

    fn mean(&self, each_ms: f64, median: Option<Figure>) -> Option<Figure> {
        let half = self.latency.rounding_ms.unwrap_or(0.0);
        let each = Figure { ms: each_ms, statistic: Statistic::Mean, origin: Origin::Duration, rounding_ms: 0.0 };
        match (self.latency.mean_ms, median) {
            (Some(ms), _) if (ms - each_ms).abs() <= half => Some(Figure { rounding_ms: half, ..each }),
            (Some(ms), _) => Some(Figure { ms, origin: Origin::Printed, rounding_ms: half, ..each }),
            (None, Some(median)) => {
                let (least, most) = (median.ms - median.rounding_ms, median.ms + median.rounding_ms);
                (each_ms >= least * (1.0 - TOLERANCE) && each_ms <= most * (1.0 + TOLERANCE)).then_some(each)
            }
            (None, None) => None,
        }
    }
}
