//! When to kill.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::scene::Whole;

/// A moment in the life of a process that searches.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// Some time after it began.
    After(Duration),
    /// Some time after the journal has come to so many bytes: however fast the machine is, a moment of the search.
    Grown(u64, Duration),
    /// When a file was seen so many times: while it is being written, since these soon get another name.
    Seen(&'static str, u64),
}

/// Files that are there for as long as they are written, and how often there are some.
const SEEN: [(&str, u64); 4] =
    [("config.toml.tmp", 1), ("checkpoint/strategy.tmp", 17), ("pareto.csv.tmp", 1), ("report.html.tmp", 1)];

impl Moment {
    /// One of them, spread over start-up, search, checkpoints and the end.
    pub fn draw(rng: &mut ChaCha8Rng, whole: &Whole) -> Self {
        match rng.random_range(0..10) {
            0..=3 => Self::After(whole.time.mul_f64(rng.random_range(0.0..1.1))),
            4..=7 => {
                let bytes = rng.random_range(0..=whole.bytes);
                Self::Grown(bytes, whole.time.mul_f64(rng.random_range(0.0..0.02)))
            }
            _ => {
                let (file, most) = SEEN[rng.random_range(0..SEEN.len())];
                Self::Seen(file, rng.random_range(1..=most))
            }
        }
    }

    /// Waits for it; false if the process ended before.
    pub fn wait(self, child: &mut Child, run: &Path) -> bool {
        let begun = Instant::now();
        let mut ended = move || child.try_wait().expect("it is ours").is_some();
        match self {
            Self::After(time) => {
                std::thread::sleep(time);
                !ended()
            }
            Self::Grown(bytes, more) => {
                let journal = run.join("measurements.csv");
                while std::fs::metadata(&journal).map_or(0, |file| file.len()) < bytes {
                    if ended() {
                        return false;
                    }
                    std::thread::sleep(Duration::from_micros(200));
                }
                std::thread::sleep(more);
                !ended()
            }
            Self::Seen(file, times) => {
                let path = run.join(file);
                let (mut seen, mut was_there) = (0, false);
                while seen < times {
                    let is_there = path.exists();
                    seen += u64::from(is_there && !was_there);
                    was_there = is_there;
                    if ended() {
                        return false;
                    }
                    // Where a search takes long there is time.
                    match begun.elapsed() > Duration::from_secs(2) {
                        true => std::thread::sleep(Duration::from_millis(1)),
                        false => std::thread::yield_now(),
                    }
                }
                true
            }
        }
    }
}
