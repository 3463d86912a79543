//! Which networks to measure first on a target of which little is known.

use anyhow::Result;
use child::space::Architecture;
use rand::SeedableRng;
use rand::seq::IteratorRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::history::{Evaluation, History};
use crate::problem::Problem;
use crate::surrogate::{Encoder, Encoding, most_informative};

/// Chooses the networks that make predictions over the space surest, regardless of their values.
#[derive(Debug)]
pub(super) struct Design {
    encoder: Encoder,
    /// Random architectures whose predictions are to become sure.
    references: Vec<Architecture>,
    /// Random architectures that may be measured.
    pool: Vec<Architecture>,
}

impl Design {
    /// Networks measured on a target before its surrogate says anything.
    pub const LEAST: u64 = 10;
    const REFERENCES: usize = 300;
    const POOL: usize = 3000;

    /// The same random architectures each time, as a resumed search needs them.
    pub fn new(problem: &Problem) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let references = (0..Self::REFERENCES).map(|_| problem.space().random(&mut rng)).collect();
        let mut pool: Vec<Architecture> = match problem.available() {
            Some(available) => available.iter().sample(&mut rng, Self::POOL).into_iter().cloned().collect(),
            None => (0..Self::POOL).map(|_| problem.space().random(&mut rng)).collect(),
        };
        let mut connected = Vec::new();
        for one in &pool {
            connected.push(problem.is_connected(one)?);
        }
        let mut connected = connected.into_iter();
        pool.retain(|_| connected.next().unwrap_or(false));
        Ok(Self { encoder: Encoder::new(problem)?, references, pool })
    }

    /// The most informative of some networks for a target, after those that were measured or are being measured there.
    pub fn best<'a>(
        &mut self,
        problem: &Problem,
        history: &History,
        target: usize,
        networks: &[&'a Architecture],
    ) -> Result<Option<&'a Architecture>> {
        let begun = begun(history, target).map(|one| &one.architecture);
        let pending = history.pending().iter().map(|job| &job.candidate.architecture);
        let begun: Vec<&Architecture> = begun.chain(pending).collect();
        let mut encode = |those: &[&Architecture]| self.encoder.encode_all(problem, those.iter().copied());
        let points = encode(networks)?;
        let (references, begun) = (encode(&self.references.iter().collect::<Vec<_>>())?, encode(&begun)?);
        let [points, references, begun] =
            [&points, &references, &begun].map(|all| all.iter().map(AsRef::as_ref).collect::<Vec<&Encoding>>());
        let best = (!points.is_empty()).then(|| most_informative(&points, &references, &begun));
        Ok(best.map(|place| networks[place]))
    }

    /// Architectures of the pool whose networks a search does not know yet.
    pub fn unknown(&self, problem: &Problem, history: &History) -> Result<Vec<Architecture>> {
        let mut found = Vec::new();
        for architecture in &self.pool {
            if !history.is_taken(&problem.key(architecture)?) {
                found.push(architecture.clone());
            }
        }
        Ok(found)
    }
}

/// Evaluations that were measured on a target, or failed there.
pub(super) fn begun(history: &History, target: usize) -> impl Iterator<Item = &Evaluation> {
    history.evaluations().iter().filter(move |one| one.is_tried_on(target))
}
