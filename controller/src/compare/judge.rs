//! Two fronts on one device: the baseline, which was searched for this device, and the other.

use child::space::Architecture;

use crate::objective::{Bounds, Objective, Objectives};
use crate::pareto::{ReferencePoint, dominates, hypervolume};

/// Source of the values of a network on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The journal of the run on that device, or a log that stands alone.
    Journal,
    /// The log that the run replayed.
    Log,
    /// A measurement for the comparison.
    Measured,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Log => "log",
            Self::Measured => "measured",
        }
    }
}

/// A member of a front of one run, with values on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Number in the run.
    pub evaluation: u64,
    pub architecture: Architecture,
    pub text: String,
    pub values: Vec<f64>,
    pub origin: Origin,
}

/// A network in comparison with both fronts.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub network: Found,
    /// Whether it keeps all bounds on this device.
    pub feasible: bool,
    /// Whether it keeps all bounds and no network of either front that keeps them dominates it.
    pub on_joint_front: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OnDevice {
    pub bounds: Bounds,
    /// Reference point of the hypervolumes; `None` if both fronts are empty.
    pub reference: Option<Vec<f64>>,
    /// The front that was found on this device.
    pub baseline: Vec<Point>,
    /// The front that was found on the other device, as far as its values here are known.
    pub other: Vec<Point>,
    /// The members of the other front without known values here.
    pub unknown: Vec<Found>,
    /// Hypervolume of each; `None` without a member of known values.
    pub hypervolumes: [Option<f64>; 2],
    /// Hypervolume of the other front as a share of the baseline's, if both exist.
    pub share: Option<f64>,
    /// The best network of each front: first within the search's bounds alone, then within each of the given bounds.
    /// Empty unless the error is an objective.
    pub picks: Vec<Pick>,
}

/// The most accurate network of each front within bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    /// Bounds besides those of the search.
    pub bounds: Bounds,
    /// Place in [`OnDevice::baseline`]; `None` if no network keeps the bounds.
    pub baseline: Option<usize>,
    /// Place in [`OnDevice::other`].
    pub other: Option<usize>,
    pub error_difference: Option<f64>,
    /// For each objective that depends on the device: the least value of a network of the other front that is at least
    /// as accurate as the baseline's pick, as a multiple of that pick's value; `None` without such a network.
    pub as_accurate: Vec<(Objective, Option<f64>)>,
}

/// Compares two fronts by their values on one device, and finds the best networks within each of the bounds `within`.
pub fn judge(
    objectives: &Objectives,
    bounds: &Bounds,
    baseline: Vec<Found>,
    other: Vec<Found>,
    within: &[Bounds],
) -> OnDevice {
    let [mut baseline, mut other] = [baseline, other].map(|networks| {
        let points = networks.into_iter().map(|network| {
            let feasible = keeps(objectives, bounds, &network.values);
            Point { network, feasible, on_joint_front: feasible }
        });
        points.collect::<Vec<_>>()
    });
    let fronts = [&baseline, &other].map(|points| {
        let feasible = points.iter().filter(|point| point.feasible);
        feasible.map(|point| point.network.values.clone()).collect::<Vec<_>>()
    });
    let all = fronts.concat();
    for point in baseline.iter_mut().chain(&mut other) {
        point.on_joint_front &= !all.iter().any(|rival| dominates(rival, &point.network.values));
    }
    let reference = (!all.is_empty())
        .then(|| reference(objectives, |objective| bounds.get(objective), all.iter().map(Vec::as_slice)));
    let hypervolumes = [(&baseline, &fronts[0]), (&other, &fronts[1])].map(|(points, front)| {
        let reference = reference.as_ref().filter(|_| !points.is_empty())?;
        // An empty sum is −0 in floating point.
        Some(hypervolume(front, reference) + 0.0)
    });
    let share = match hypervolumes {
        [Some(baseline), Some(other)] if baseline > 0.0 => Some(other / baseline),
        _ => None,
    };
    let within = std::iter::once(Bounds::default()).chain(within.iter().cloned());
    let picks = match objectives.position(Objective::Error) {
        Some(error) => within.map(|within| pick(objectives, within, error, &baseline, &other)).collect(),
        None => Vec::new(),
    };
    let unknown = Vec::new();
    OnDevice { bounds: bounds.clone(), reference, baseline, other, unknown, hypervolumes, share, picks }
}

fn keeps(objectives: &Objectives, bounds: &Bounds, values: &[f64]) -> bool {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    bounds.are_kept(objectives, &values)
}

/// Reference point of hypervolumes: for each objective its bound or, without one, a value a little beyond the worst of the
/// points. An error is at most 1.
pub(super) fn reference<'a>(
    objectives: &Objectives,
    bound: impl Fn(Objective) -> Option<f64>,
    points: impl Iterator<Item = &'a [f64]> + Clone,
) -> Vec<f64> {
    let beyond_worst = |index: usize, objective| {
        let worst = points.clone().map(|point| point[index]).fold(0.0, f64::max);
        let limit = if worst > 0.0 { ReferencePoint::MARGIN * worst } else { 1.0 };
        if objective == Objective::Error { limit.min(1.0) } else { limit }
    };
    let coordinates = objectives.iter().enumerate();
    coordinates.map(|(index, objective)| bound(objective).unwrap_or_else(|| beyond_worst(index, objective))).collect()
}

fn pick(objectives: &Objectives, bounds: Bounds, error: usize, baseline: &[Point], other: &[Point]) -> Pick {
    let [best_baseline, best_other] = [baseline, other].map(|points| {
        let values = points.iter().map(|point| &point.network.values).enumerate();
        let within = values.filter(|(index, values)| points[*index].feasible && keeps(objectives, &bounds, values));
        within.min_by(|(_, a), (_, b)| a[error].total_cmp(&b[error])).map(|(index, _)| index)
    });
    let best = best_baseline.map(|index| &baseline[index].network.values);
    let error_difference = best.zip(best_other).map(|(best, index)| other[index].network.values[error] - best[error]);
    let least_ratio = |index: usize| {
        let best = best?;
        let as_accurate = other.iter().filter(|point| point.feasible && point.network.values[error] <= best[error]);
        let least = as_accurate.map(|point| point.network.values[index]).reduce(f64::min)?;
        (best[index] > 0.0).then(|| least / best[index])
    };
    let of_device = objectives.iter().enumerate().filter(|(_, objective)| objective.depends_on_device());
    Pick {
        as_accurate: of_device.map(|(index, objective)| (objective, least_ratio(index))).collect(),
        baseline: best_baseline,
        other: best_other,
        error_difference,
        bounds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objectives() -> Objectives {
        Objectives::new([Objective::Error, Objective::Time]).unwrap()
    }

    fn front(values: &[[f64; 2]]) -> Vec<Found> {
        let member = |(values, number): (&[f64; 2], u64)| Found {
            evaluation: number,
            architecture: Architecture::new([number as usize]),
            text: format!("a{number}"),
            values: values.to_vec(),
            origin: Origin::Journal,
        };
        values.iter().zip(0..).map(member).collect()
    }

    /// Number of networks of the other front that stay on the joint front.
    fn staying(found: &OnDevice) -> usize {
        found.other.iter().filter(|point| point.on_joint_front).count()
    }

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn hypervolumes_and_share_match_hand_computed_values() {
        let bounds = Bounds::new([(Objective::Error, 0.5), (Objective::Time, 10.0)]).unwrap();
        // Of the box of 0.5 × 10: 0.4 × 2 + 0.3 × (8 − 2) = 2.6 by the baseline, 0.3 × 4 + 0.1 × (9 − 4) = 1.7 by the
        // other front, of which only the second member is not dominated.
        let baseline = front(&[[0.1, 8.0], [0.2, 2.0]]);
        let other = front(&[[0.2, 6.0], [0.4, 1.0], [0.05, 11.0]]);
        let found = judge(&objectives(), &bounds, baseline, other, &[]);
        assert_eq!(found.reference, Some(vec![0.5, 10.0]));
        assert!(close(found.hypervolumes[0], 2.6) && close(found.hypervolumes[1], 1.7), "{found:?}");
        assert!(close(found.share, 1.7 / 2.6));
        assert_eq!(staying(&found), 1);
        let stay: Vec<_> = found.other.iter().map(|point| (point.feasible, point.on_joint_front)).collect();
        assert_eq!(stay, [(true, false), (true, true), (false, false)], "the third is beyond the bound on time");
        assert!(found.baseline.iter().all(|point| point.on_joint_front));
    }

    #[test]
    fn without_bounds_the_reference_lies_beyond_the_worst_of_both() {
        let found = judge(&objectives(), &Bounds::default(), front(&[[0.2, 5.0]]), front(&[[0.2, 6.0]]), &[]);
        let reference = found.reference.unwrap();
        assert!(close(Some(reference[0]), 0.22) && close(Some(reference[1]), 6.6), "{reference:?}");
        // 0.02 × 0.6 of 0.02 × 1.6.
        assert!(close(found.share, 0.375), "{:?}", found.share);
        let found = judge(&objectives(), &Bounds::default(), front(&[[1.0, 5.0]]), front(&[[0.0, 9.0]]), &[]);
        assert_eq!(found.reference.unwrap()[0], 1.0, "an error is at most 1");
    }

    #[test]
    fn equal_fronts_have_a_share_of_one() {
        let points = [[0.1, 8.0], [0.2, 2.0]];
        let found = judge(&objectives(), &Bounds::default(), front(&points), front(&points), &[]);
        assert_eq!((found.share, staying(&found)), (Some(1.0), 2));
        assert_eq!(found.picks[0].error_difference, Some(0.0));
        assert_eq!(found.picks[0].as_accurate, [(Objective::Time, Some(1.0))]);
    }

    #[test]
    fn unknown_fronts_have_no_share_and_infeasible_ones_a_share_of_zero() {
        let bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let baseline = front(&[[0.2, 3.0]]);
        let found = judge(&objectives(), &bounds, baseline.clone(), Vec::new(), &[]);
        assert_eq!((found.share, found.hypervolumes[1]), (None, None));
        let found = judge(&objectives(), &bounds, baseline.clone(), front(&[[0.1, 5.0]]), &[]);
        assert_eq!((found.share, staying(&found)), (Some(0.0), 0), "all of it is beyond the bound");
        let found = judge(&objectives(), &bounds, Vec::new(), baseline, &[]);
        assert_eq!((found.share, staying(&found)), (None, 1));
        let found = judge(&objectives(), &bounds, Vec::new(), Vec::new(), &[]);
        assert_eq!((found.reference, found.share), (None, None));
        assert_eq!((found.picks[0].baseline, found.picks[0].error_difference), (None, None));
    }

    #[test]
    fn picks_are_the_best_within_bounds_with_the_relative_cost_of_equal_accuracy() {
        let baseline = front(&[[0.1, 8.0], [0.2, 2.0], [0.3, 1.0]]);
        let other = front(&[[0.15, 9.0], [0.25, 3.0], [0.08, 20.0]]);
        let within = [4.0, 1.0].map(|time| Bounds::new([(Objective::Time, time)]).unwrap());
        let found = judge(&objectives(), &Bounds::default(), baseline, other, &within);
        let [free, four, one] = &found.picks[..] else { panic!("{:?}", found.picks) };
        assert_eq!((free.baseline, free.other), (Some(0), Some(2)));
        assert!(close(free.error_difference, -0.02), "the other front may be the better one");
        assert_eq!(free.as_accurate, [(Objective::Time, Some(2.5))], "20 ms for at most 10 %, in place of 8");
        assert_eq!((four.baseline, four.other), (Some(1), Some(1)));
        assert!(close(four.error_difference, 0.05));
        assert_eq!(four.as_accurate, [(Objective::Time, Some(4.5))], "9 ms for at most 20 %, in place of 2");
        assert_eq!((one.baseline, one.other, one.error_difference), (Some(2), None, None));
        assert_eq!(one.as_accurate, [(Objective::Time, Some(3.0))], "3 ms for at most 30 %, in place of 1");
    }

    #[test]
    fn without_the_error_there_are_no_picks() {
        let objectives = Objectives::new([Objective::Time, Objective::Energy]).unwrap();
        let found = judge(&objectives, &Bounds::default(), front(&[[1.0, 2.0]]), front(&[[2.0, 1.0]]), &[]);
        assert_eq!((staying(&found), found.picks.len()), (1, 0));
    }
}
