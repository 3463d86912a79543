//! The simulated power: a formula, so that the true energy is known.

pub(super) const NS: f64 = 1e9;

/// Properties of a simulated board.
#[derive(Debug, Clone)]
pub(in crate::jetson) struct Physics {
    pub idle_mw: f64,
    /// Power added while inference runs, averaged over one inference.
    pub load_mw: f64,
    /// Share of each inference in which that power is drawn.
    pub duty: f64,
    pub latency_ms: f64,
    /// Standard deviation of single inferences, relative.
    pub jitter: f64,
    /// Standard deviation of single readings, relative.
    pub noise: f64,
    /// Change of the idle power.
    pub drift_mw_per_s: f64,
    /// Power that warmth adds in the end, and the time constant.
    pub leak_mw: f64,
    pub warming_s: f64,
    /// How late trtexec's report is noticed.
    pub late_s: f64,
    /// Step of the clock, forward or back, two seconds after the first inference begins.
    pub step_s: f64,
    /// Free space of its disk.
    pub free_bytes: u64,
    /// Time that a monitor averages each reading over.
    pub conversion_ms: f64,
}

/// Past and planned inferences, one after the other.
pub(super) struct Load {
    /// Beginning of each inference and end of the last, in s.
    pub borders: Vec<f64>,
}

/// The power of a board with its inferences.
pub(super) struct Power {
    pub physics: Physics,
    pub loads: Vec<Load>,
}

impl Power {
    /// Energy since the beginning of simulated time, in mJ.
    pub fn energy(&self, at_ns: u64) -> f64 {
        let (p, t) = (&self.physics, at_ns as f64 / NS);
        let mut energy = p.idle_mw * t + 0.5 * p.drift_mw_per_s * t * t;
        for Load { borders } in &self.loads {
            let (from, to) = (borders[0], borders[borders.len() - 1]);
            if t <= from {
                continue;
            }
            // The running inference, and its completed share.
            let index = borders.partition_point(|border| *border <= t) - 1;
            let length = borders.get(index + 1).map_or(0.0, |end| end - borders[index]);
            let part = t - borders[index];
            energy += p.load_mw * (borders[index] - from + part.min(p.duty * length) / p.duty);
            // The leak follows the temperature, which follows the load with a delay.
            let run_s = t.min(to) - from;
            let warmed = run_s - p.warming_s * -(-run_s / p.warming_s).exp_m1();
            energy += p.leak_mw * warmed;
            if t > to {
                let (reached, after) = (-(-run_s / p.warming_s).exp_m1(), t - to);
                energy += p.leak_mw * reached * p.warming_s * -(-after / p.warming_s).exp_m1();
            }
        }
        energy
    }
}
