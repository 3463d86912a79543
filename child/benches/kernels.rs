//! Speed of the kernels that train children, in billions of multiply-accumulates a second, and as a share of the
//! processor's peak: `cargo bench -p child --bench kernels [PART OF A NAME]`.
//!
//! The shape of the tiles decides: a tile that does not fit the registers costs a factor of twenty. Each figure is that
//! of the fastest of many runs on one thread.

use std::time::{Duration, Instant};

use child::kernels::{Kernel, kernels, peak};

const RUNS: usize = 400;

fn main() {
    let wanted = std::env::args().nth(1).filter(|argument| !argument.starts_with("--")).unwrap_or_default();
    let peak = speed(&mut peak());
    println!("{:<44} {peak:>7.1} GMAC/s", "peak: multiply-accumulates in registers");
    for mut kernel in kernels().into_iter().filter(|kernel| kernel.name.contains(&wanted)) {
        let speed = speed(&mut kernel);
        println!("{:<44} {speed:>7.1} GMAC/s {:>4.0} %", kernel.name, 100.0 * speed / peak);
    }
}

/// In billions of multiply-accumulates a second.
fn speed(kernel: &mut Kernel) -> f64 {
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        kernel.run();
        fastest = fastest.min(start.elapsed());
    }
    kernel.macs as f64 / fastest.as_secs_f64() / 1e9
}
