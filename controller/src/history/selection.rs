//! Choosing a subset of the surrogate's training set.

use std::ops::Range;

use super::Evaluation;
use crate::pareto::non_dominated;

/// A subset of at most `most` evaluations, in their order; those at `ours` are this search's, by time.
///
/// Half of the subset are the best: among evaluations with the same known objectives the front, then the front of the
/// rest, and so on, evaluations within the bounds first; for the next networks are chosen near these. A quarter are the
/// latest of this search, which show where the surrogate is wrong. The others are spread evenly over the rest: a
/// surrogate that has seen only good networks takes every unknown network for a good one.
pub(super) fn subset<'a>(
    evaluations: &[&'a Evaluation],
    ours: Range<usize>,
    most: usize,
    keeps_bounds: impl Fn(&Evaluation) -> bool,
) -> Vec<&'a Evaluation> {
    if evaluations.len() <= most {
        return evaluations.to_vec();
    }
    let (keeping, breaking): (Vec<usize>, Vec<usize>) =
        (0..evaluations.len()).partition(|index| keeps_bounds(evaluations[*index]));
    let mut chosen = vec![false; evaluations.len()];
    let mut left = most / 2;
    for part in [keeping, breaking] {
        left -= choose_best(evaluations, part, left, &mut chosen);
    }
    chosen[ours.end - ours.len().min(most / 4)..ours.end].fill(true);
    let rest: Vec<usize> = (0..evaluations.len()).filter(|index| !chosen[*index]).collect();
    let left = most - (evaluations.len() - rest.len());
    (0..left).for_each(|place| chosen[rest[place * rest.len() / left]] = true);
    evaluations.iter().zip(chosen).filter_map(|(evaluation, is_chosen)| is_chosen.then_some(*evaluation)).collect()
}

/// Chooses up to `count` of a part of the evaluations, front after front, and returns how many it chose.
fn choose_best(evaluations: &[&Evaluation], part: Vec<usize>, count: usize, chosen: &mut [bool]) -> usize {
    // By known objectives.
    let mut groups: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for index in part {
        let known: Vec<bool> = evaluations[index].values.iter().map(Option::is_some).collect();
        if !known.contains(&true) {
            continue;
        }
        match groups.iter_mut().find(|(other, _)| *other == known) {
            Some((_, group)) => group.push(index),
            None => groups.push((known, vec![index])),
        }
    }
    let mut left = count;
    while left > 0 && !groups.is_empty() {
        for (_, group) in &mut groups {
            let points: Vec<Vec<f64>> =
                group.iter().map(|index| evaluations[*index].values.iter().flatten().copied().collect()).collect();
            let front: Vec<usize> = non_dominated(&points).into_iter().take(left).map(|place| group[place]).collect();
            front.iter().for_each(|index| chosen[*index] = true);
            left -= front.len();
            group.retain(|index| !chosen[*index]);
        }
        groups.retain(|(_, group)| !group.is_empty());
    }
    count - left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::toy;

    fn networks(evaluations: &[&Evaluation]) -> Vec<usize> {
        evaluations.iter().map(|evaluation| evaluation.architecture.choices()[0]).collect()
    }

    /// Twenty fronts of twenty; the first is 0 to 19, and behind it come ever worse ones.
    fn layers() -> Vec<Evaluation> {
        let network = |index: usize| {
            let (layer, place) = ((index / 20) as f64, (index % 20) as f64);
            toy::evaluation(0, index, vec![Some(0.01 * (1.0 + place) + 0.02 * layer), Some(30.0 - place + layer)])
        };
        (0..400).map(network).collect()
    }

    #[test]
    fn the_subset_has_the_best_and_some_of_all_others() {
        let layers = layers();
        let layers: Vec<&Evaluation> = layers.iter().collect();
        assert_eq!(subset(&layers[..40], 0..0, 40, |_| true).len(), 40);
        let kept = networks(&subset(&layers, 0..0, 40, |_| true));
        assert_eq!(kept.len(), 40);
        assert!(kept.is_sorted() && kept[..20].iter().copied().eq(0..20), "{kept:?}");
        assert!(kept[20..].windows(2).all(|pair| pair[1] - pair[0] == 19) && kept[39] > 370, "{kept:?}");
    }

    #[test]
    fn the_subset_has_the_latest_up_to_their_number() {
        let layers = layers();
        let layers: Vec<&Evaluation> = layers.iter().collect();
        for (ours, news) in [(0..300, 290..300), (200..204, 200..204)] {
            let kept = networks(&subset(&layers, ours, 40, |_| true));
            assert_eq!(kept.len(), 40);
            assert!(kept[..20].iter().copied().eq(0..20) && kept[39] > 350, "{kept:?}");
            assert!(news.clone().all(|network| kept.contains(&network)), "{kept:?}");
            assert!(!kept.contains(&(news.start - 1)) && !kept.contains(&news.end), "{kept:?}");
        }
    }

    #[test]
    fn evaluations_within_the_bounds_come_first() {
        let layers = layers();
        let layers: Vec<&Evaluation> = layers.iter().collect();
        let kept = networks(&subset(&layers, 0..0, 80, |evaluation| evaluation.values[1] < Some(20.0)));
        // The second half of each front, and the whole of those that are left to choose from.
        let feasible = |network: &usize| 30.0 - (network % 20) as f64 + ((network / 20) as f64) < 20.0;
        let all = (0..400).filter(feasible).count();
        assert!(all > 40 && kept.iter().filter(|network| feasible(network)).count() >= 40, "{all} {kept:?}");
        let few = networks(&subset(&layers, 0..0, 300, |evaluation| evaluation.values[1] < Some(20.0)));
        assert!((0..400).filter(feasible).all(|network| few.contains(&network)), "{few:?}");
        assert_eq!(few.len(), 300);
    }

    #[test]
    fn groups_by_known_objectives_take_turns_and_empty_evaluations_are_left_out() {
        let complete = (0..30).map(|index| toy::evaluation(0, index, vec![Some(0.5), Some(1.0 + index as f64)]));
        let errors = (30..60).map(|index| toy::evaluation(0, index, vec![Some(0.01 * index as f64), None]));
        let nothing = (60..80).map(|index| toy::evaluation(0, index, vec![None, None]));
        let evaluations: Vec<Evaluation> = nothing.chain(complete).chain(errors).collect();
        let mut chosen = vec![false; 80];
        let found = choose_best(&evaluations.iter().collect::<Vec<_>>(), (0..80).collect(), 6, &mut chosen);
        assert_eq!(found, 6);
        assert_eq!((0..80).filter(|index| chosen[*index]).collect::<Vec<_>>(), [20, 21, 22, 50, 51, 52]);
    }
}
