//! Which trained network to measure next on a target that came later.

use std::sync::Arc;

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ModelBased;
use super::acquisition::Acquisition;
use crate::history::{Evaluation, History};
use crate::problem::Problem;
use crate::surrogate::{Encoding, Predicted, most_informative};

impl ModelBased {
    /// Networks measured on a target before its surrogate says anything.
    const DESIGNED: usize = 10;
    /// Random architectures over which the predictions are to become sure.
    const REFERENCES: usize = 300;

    /// The place of the network that tells most about a target. The first ones are those that make predictions over the space
    /// surest. Then the highest expected improvement of the target's front counts.
    pub(super) fn telling(
        &mut self,
        problem: &Problem,
        history: &History,
        target: usize,
        networks: &[&Evaluation],
    ) -> Result<usize> {
        let points = self.encoder.encode_all(problem, networks.iter().map(|one| &one.architecture))?;
        let is_begun = |one: &&Evaluation| {
            let is_measured = one.measured.get(target).is_some_and(Option::is_some);
            is_measured || history.pending_job(&one.key).is_some()
        };
        let begun: Vec<&Evaluation> = history.evaluations().iter().filter(is_begun).collect();
        if begun.len() < Self::DESIGNED {
            let begun = self.encoder.encode_all(problem, begun.iter().map(|one| &one.architecture))?;
            // The same ones each time.
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let references: Vec<_> = (0..Self::REFERENCES).map(|_| problem.space().random(&mut rng)).collect();
            let references = self.encoder.encode_all(problem, &references)?;
            return Ok(most_informative(&borrowed(&points), &borrowed(&references), &borrowed(&begun)));
        }
        let (surrogate, _) = self.fit(problem, history, Predicted::All)?;
        let acquisition = Acquisition::of_target(history, target, &surrogate);
        let (prediction, warps, targets) = (surrogate.predict(&points), surrogate.warps(), problem.targets());
        let improvement = |index: usize| {
            let known = networks[index].values.iter().zip(&warps);
            let beliefs = known.zip(&prediction).map(|((value, warp), column)| match value {
                Some(value) => (warp.forward(*value), 0.0),
                None => (column.means[index], column.deviations[index]),
            });
            let (means, deviations): (Vec<f64>, Vec<f64>) = beliefs.unzip();
            acquisition.of(&targets.of(target, &means), &targets.of(target, &deviations))
        };
        let improvements: Vec<f64> = (0..networks.len()).map(improvement).collect();
        Ok((0..networks.len())
            .fold(0, |best, place| if improvements[place] > improvements[best] { place } else { best }))
    }
}

fn borrowed(points: &[Arc<Encoding>]) -> Vec<&Encoding> {
    points.iter().map(AsRef::as_ref).collect()
}
