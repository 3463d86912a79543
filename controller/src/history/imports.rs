//! What other logs told of networks.

use std::collections::HashMap;

use child::graph::CanonicalKey;

use super::Evaluation;
use crate::pareto::non_dominated;

/// A measurement that was taken over from another log.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// What it tells, as an evaluation of this search; its number means nothing.
    pub evaluation: Evaluation,
    /// Evaluations that the search had entered when it was taken over: rounds that began with fewer do not know it, so
    /// that a search which goes on finds again what it found in them.
    pub after: u64,
}

/// Imports by when they became known, one evaluation a network.
#[derive(Debug, Clone, Default)]
pub(super) struct Imports {
    /// By rising number of evaluations, everything that is known from then on.
    stages: Vec<(u64, Vec<Evaluation>)>,
}

impl Imports {
    /// Networks kept at most: the time that a surrogate takes to be fitted grows with the cube of their number, and
    /// begins to be felt in a round.
    pub const MOST: usize = 1000;

    pub fn new(imports: &[Import]) -> Self {
        let mut stages: Vec<u64> = imports.iter().map(|import| import.after).collect();
        stages.sort_unstable();
        stages.dedup();
        let known = |after: u64| {
            let known = imports.iter().filter(|import| import.after <= after);
            most_useful(merged(known.map(|import| &import.evaluation)), Self::MOST)
        };
        Self { stages: stages.into_iter().map(|after| (after, known(after))).collect() }
    }

    /// What is known once so many evaluations have been entered.
    pub fn known(&self, entered: u64) -> &[Evaluation] {
        let begun = self.stages.partition_point(|(after, _)| *after <= entered);
        begun.checked_sub(1).map_or(&[], |stage| &self.stages[stage].1)
    }
}

/// One evaluation a network, in the order of the first of each.
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

/// Up to `most` of the evaluations, in their order.
///
/// Half of them are the best: of those that tell the same objectives the front, then the front of the rest, and so on,
/// for it is near these that the next networks are chosen. The other half are spread evenly over what is left, in its
/// order: a surrogate that has seen only good networks takes every unknown one for good.
fn most_useful(evaluations: Vec<Evaluation>, most: usize) -> Vec<Evaluation> {
    if evaluations.len() <= most {
        return evaluations;
    }
    let mut kept = best(&evaluations, most / 2);
    let rest: Vec<usize> = (0..evaluations.len()).filter(|index| !kept[*index]).collect();
    let left = most - most / 2;
    (0..left).for_each(|place| kept[rest[place * rest.len() / left]] = true);
    evaluations.into_iter().zip(kept).filter_map(|(evaluation, kept)| kept.then_some(evaluation)).collect()
}

/// Marks `count` evaluations, front after front.
fn best(evaluations: &[Evaluation], count: usize) -> Vec<bool> {
    let told = |index: usize| evaluations[index].values.iter().map(Option::is_some).collect::<Vec<_>>();
    let mut marked = vec![false; evaluations.len()];
    let mut groups: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for index in 0..evaluations.len() {
        let told = told(index);
        match groups.iter_mut().find(|(other, _)| *other == told) {
            Some((_, group)) => group.push(index),
            None => groups.push((told, vec![index])),
        }
    }
    let mut left = count;
    while left > 0 && !groups.is_empty() {
        for (_, group) in &mut groups {
            let points: Vec<Vec<f64>> =
                group.iter().map(|index| evaluations[*index].values.iter().flatten().copied().collect()).collect();
            let front: Vec<usize> = non_dominated(&points).into_iter().take(left).map(|place| group[place]).collect();
            front.iter().for_each(|index| marked[*index] = true);
            left -= front.len();
            group.retain(|index| !marked[*index]);
        }
        groups.retain(|(_, group)| !group.is_empty());
    }
    marked
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
    fn each_is_known_from_its_time_on_and_repeats_are_their_mean() {
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

    #[test]
    fn of_too_many_the_best_are_kept_and_some_of_all_others() {
        // The front is 0 to 19, and behind it come ever worse ones.
        let network = |index: usize| {
            let (layer, place) = ((index / 20) as f64, (index % 20) as f64);
            toy::evaluation(0, index, vec![Some(0.01 * (1.0 + place) + 0.02 * layer), Some(30.0 - place + layer)])
        };
        let evaluations: Vec<_> = (0..400).map(network).collect();
        assert_eq!(most_useful(evaluations[..40].to_vec(), 40).len(), 40);
        let kept = networks(&most_useful(evaluations, 40));
        assert_eq!(kept.len(), 40);
        assert!(kept.is_sorted() && kept[..20].iter().copied().eq(0..20), "{kept:?}");
        assert!(kept[20..].windows(2).all(|pair| pair[1] - pair[0] == 19) && kept[39] > 370, "{kept:?}");
    }

    #[test]
    fn what_tells_less_takes_its_turn() {
        let complete = (0..30).map(|index| toy::evaluation(0, index, vec![Some(0.5), Some(1.0 + index as f64)]));
        let errors = (30..60).map(|index| toy::evaluation(0, index, vec![Some(0.01 * index as f64), None]));
        let marked = best(&complete.chain(errors).collect::<Vec<_>>(), 6);
        let marked: Vec<usize> = (0..60).filter(|index| marked[*index]).collect();
        assert_eq!(marked, [0, 1, 2, 30, 31, 32]);
    }
}
