//! Times one update of the controller: LSTM of 100 units, 40 decisions of 5 choices, 3 objectives, 32 episodes.
//!
//! `cargo run --release -p controller --example update_benchmark` prints one line, `ms_per_update <median>`. An update
//! is the forward pass over given architectures, the backward pass, clipping by the global norm, and Adam's step;
//! drawing the architectures is not part of it.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Device;
use child::space::Decision;
use controller::policy::{Learner, PolicyConfig, UpdateConfig};
use controller::preference::Preference;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const DECISIONS: usize = 40;
const EPISODES: usize = 32;
const WARM_UP: usize = 5;
const TIMED: usize = 31;

fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let decisions: Vec<_> =
        (0..DECISIONS).map(|index| Decision::new(index.to_string(), ["a", "b", "c", "d", "e"])).collect();
    let policy =
        PolicyConfig { hidden: 100, ..PolicyConfig::default() }.init(&decisions, 3, &Device::default(), &mut rng)?;
    let mut learner = Learner::new(policy, UpdateConfig::default())?;
    let mut times_ms = Vec::with_capacity(TIMED);
    for round in 0..WARM_UP + TIMED {
        let preferences: Vec<_> = (0..EPISODES).map(|_| Preference::sample(&mut rng, 3)).collect();
        let architectures = learner.policy().sample(&preferences, &mut rng)?;
        let start = Instant::now();
        // The statistics that an update returns are fetched from the device, so the work is done when it returns.
        learner.update(&architectures, &preferences, |index, _| architectures[index].choices()[0] as f64)?;
        if round >= WARM_UP {
            times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times_ms.sort_by(f64::total_cmp);
    println!("ms_per_update {:.3}", times_ms[TIMED / 2]);
    Ok(())
}
