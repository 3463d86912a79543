//! Which trained network to measure next on a target that came later.

use anyhow::Result;

use super::ModelBased;
use super::acquisition::Acquisition;
use crate::history::{Evaluation, History};
use crate::problem::Problem;
use crate::strategy::belief::Belief;
use crate::surrogate::Predicted;

impl ModelBased {
    /// The place of the network with the highest expected improvement of a target's front.
    pub(super) fn telling(
        &mut self,
        problem: &Problem,
        history: &History,
        target: usize,
        networks: &[&Evaluation],
    ) -> Result<usize> {
        let points = self.encoder.encode_all(problem, networks.iter().map(|one| &one.architecture))?;
        let (surrogate, _) = self.fit(problem, history, Predicted::All)?;
        let acquisition = Acquisition::of_target(history, target, &surrogate);
        let (prediction, warps, targets) = (surrogate.predict(&points), surrogate.warps(), problem.targets());
        let improvement = |index: usize| {
            let Belief { means, deviations, .. } =
                Belief::predicted(&prediction, index, targets).knowing(Some(networks[index]), &warps, targets);
            acquisition.of(&targets.of(target, &means), &targets.of(target, &deviations))
        };
        let improvements: Vec<f64> = (0..networks.len()).map(improvement).collect();
        Ok((0..networks.len())
            .fold(0, |best, place| if improvements[place] > improvements[best] { place } else { best }))
    }
}
