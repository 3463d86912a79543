//! Measurements imported from other logs.

use std::collections::HashMap;

use child::graph::CanonicalKey;

use super::Evaluation;
use super::selection::subset;

/// A measurement imported from another log.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The measurement as an evaluation of this search; its number has no meaning.
    pub evaluation: Evaluation,
    /// Number of rows of the journal when it was imported. Rounds that began with fewer do not know it, so that a resumed
    /// search repeats its earlier rounds exactly.
    pub after: u64,
}

/// Imports by the time when they became known, one evaluation for each network.
#[derive(Debug, Clone, Default)]
pub(super) struct Imports {
    /// By rising number of rows, all imports known from then on.
    stages: Vec<(u64, Vec<Evaluation>)>,
}

impl Imports {
    /// Most networks kept: about as many as a surrogate is fitted to.
    pub const MOST: usize = 1000;

    pub fn new(imports: &[Import]) -> Self {
        let mut stages: Vec<u64> = imports.iter().map(|import| import.after).collect();
        stages.sort_unstable();
        stages.dedup();
        let known_after = |after: u64| {
            let known = imports.iter().filter(|import| import.after <= after);
            let merged = merged(known.map(|import| &import.evaluation));
            let chosen = subset(&merged.iter().collect::<Vec<_>>(), 0..0, Self::MOST, |_| true);
            (after, chosen.into_iter().cloned().collect())
        };
        Self { stages: stages.into_iter().map(known_after).collect() }
    }

    /// The imports known after `entered` rows.
    pub fn known(&self, entered: u64) -> &[Evaluation] {
        let begun = self.stages.partition_point(|(after, _)| *after <= entered);
        begun.checked_sub(1).map_or(&[], |stage| &self.stages[stage].1)
    }
}

/// One evaluation for each network, in the order of the first of each.
fn merged<'a>(evaluations: impl Iterator<Item = &'a Evaluation>) -> Vec<Evaluation> {
    let mut places: HashMap<CanonicalKey, usize> = HashMap::new();
    let mut networks: Vec<Vec<Evaluation>> = Vec::new();
    for evaluation in evaluations {
        let place = *places.entry(evaluation.key).or_insert(networks.len());
        if place == networks.len() {
            networks.push(Vec::new());
        }
        networks[place].push(evaluation.clone());
    }
    networks.iter().filter_map(|repeats| Evaluation::merged(repeats)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::toy;

    fn import(after: u64, network: usize, values: [Option<f64>; 2]) -> Import {
        Import { evaluation: toy::evaluation(0, network, values.to_vec()), after }
    }

    fn networks(evaluations: &[Evaluation]) -> Vec<usize> {
        evaluations.iter().map(|evaluation| evaluation.architecture.choices()[0]).collect()
    }

    #[test]
    fn imports_are_known_from_their_time_on_and_repeats_are_averaged() {
        let imports = Imports::new(&[
            import(5, 1, [Some(0.5), None]),
            import(0, 2, [Some(0.25), Some(4.0)]),
            import(5, 2, [Some(0.75), None]),
        ]);
        assert_eq!(networks(imports.known(4)), [2]);
        assert_eq!(imports.known(0)[0].values, [Some(0.25), Some(4.0)]);
        assert_eq!(networks(imports.known(5)), [1, 2]);
        assert_eq!(imports.known(99)[1].values, [Some(0.5), Some(4.0)]);
        assert!(Imports::new(&[import(3, 1, [None, Some(1.0)])]).known(2).is_empty());
    }
}
