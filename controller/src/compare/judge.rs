//! Two fronts on one device: the one that was searched for there, and a foreign one.

use serde::Serialize;

use crate::objective::{Bounds, Objective, Objectives};
use crate::pareto::{dominates, hypervolume};

/// Where the values of a network on a device come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The journal of the run on that device, or a log that stands alone.
    Journal,
    /// The log that the run replayed.
    Log,
    /// Measured for the comparison.
    Measured,
}

impl Origin {
    /// Name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Log => "log",
            Self::Measured => "measured",
        }
    }
}

/// A network of a front, with its values on the device where it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its number in the run that found it.
    pub evaluation: u64,
    /// Its text.
    pub architecture: String,
    /// Its value for each objective, on the device where it is judged.
    pub values: Vec<f64>,
    /// Where these come from.
    pub origin: Origin,
}

/// A network beside those of both fronts.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The network.
    pub member: Member,
    /// Whether it keeps every bound on this device.
    pub feasible: bool,
    /// Whether it keeps the bounds and nothing on either front that does so dominates it.
    pub on_joint_front: bool,
}

/// Two fronts on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct OnDevice {
    /// Bounds of the search for this device.
    pub bounds: Bounds,
    /// The worst corner of what the hypervolumes are of; none where both fronts are empty.
    pub reference: Option<Vec<f64>>,
    /// The front that was found on this device.
    pub own: Vec<Point>,
    /// The front that was found on the other, as far as its values here are known.
    pub foreign: Vec<Point>,
    /// Hypervolume of each; none where it has no member, or nothing is known of its members.
    pub hypervolumes: [Option<f64>; 2],
    /// The foreign hypervolume as a share of the own, where there are both.
    pub share: Option<f64>,
    /// The best network of each front: first within the search's bounds alone, then within each of those asked for.
    /// Empty where the error is no objective.
    pub picks: Vec<Pick>,
}

/// The most accurate network of each front within bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    /// The bounds beside the search's own.
    pub bounds: Bounds,
    /// Place in [`OnDevice::own`]; none where nothing keeps the bounds.
    pub own: Option<usize>,
    /// Place in [`OnDevice::foreign`].
    pub foreign: Option<usize>,
    /// By how much more the foreign one errs, where there are both.
    pub error_difference: Option<f64>,
    /// For each objective that a device decides: the least value of a foreign network that errs at most as much as the
    /// own pick, as a multiple of that pick's value. None where no foreign network is as accurate.
    pub as_accurate: Vec<(Objective, Option<f64>)>,
}

impl OnDevice {
    /// How many of the foreign front nothing of either dominates.
    pub fn staying(&self) -> usize {
        self.foreign.iter().filter(|point| point.on_joint_front).count()
    }
}

/// Whether an objective is of the device and not of the network alone.
pub(super) fn is_of_device(objective: Objective) -> bool {
    matches!(objective, Objective::Time | Objective::Energy)
}

/// How far the reference lies beyond the worst value.
const MARGIN: f64 = 1.1;

/// Judges two fronts by their values on one device. `asked` are the bounds for which the best networks are wanted.
pub fn judge(
    objectives: &Objectives,
    bounds: &Bounds,
    own: Vec<Member>,
    foreign: Vec<Member>,
    asked: &[Bounds],
) -> OnDevice {
    let [mut own, mut foreign] = [own, foreign].map(|members| {
        let point = |member: Member| {
            let feasible = keeps(objectives, bounds, &member.values);
            Point { member, feasible, on_joint_front: feasible }
        };
        members.into_iter().map(point).collect::<Vec<_>>()
    });
    let values = |points: &[Point]| -> Vec<Vec<f64>> {
        points.iter().filter(|point| point.feasible).map(|point| point.member.values.clone()).collect()
    };
    let fronts = [values(&own), values(&foreign)];
    let all = fronts.concat();
    for point in own.iter_mut().chain(&mut foreign) {
        point.on_joint_front &= !all.iter().any(|rival| dominates(rival, &point.member.values));
    }
    let reference = reference(objectives, bounds, &all);
    let of = |points: &[Point], front: &[Vec<f64>]| {
        let reference = reference.as_ref().filter(|_| !points.is_empty())?;
        // An empty sum is −0 in floating point.
        Some(hypervolume(front, reference) + 0.0)
    };
    let hypervolumes = [of(&own, &fronts[0]), of(&foreign, &fronts[1])];
    let share = match hypervolumes {
        [Some(own), Some(foreign)] if own > 0.0 => Some(foreign / own),
        _ => None,
    };
    let within = std::iter::once(Bounds::default()).chain(asked.iter().cloned());
    let picks = match objectives.position(Objective::Error) {
        Some(error) => within.map(|within| pick(objectives, within, error, &own, &foreign)).collect(),
        None => Vec::new(),
    };
    OnDevice { bounds: bounds.clone(), reference, own, foreign, hypervolumes, share, picks }
}

fn keeps(objectives: &Objectives, bounds: &Bounds, values: &[f64]) -> bool {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    bounds.are_kept(objectives, &values)
}

/// The bound where there is one, and otherwise a little beyond the worst of both fronts.
fn reference(objectives: &Objectives, bounds: &Bounds, points: &[Vec<f64>]) -> Option<Vec<f64>> {
    let beyond = |(index, objective): (usize, Objective)| {
        let worst = points.iter().map(|point| point[index]).fold(0.0, f64::max);
        let limit = if worst > 0.0 { MARGIN * worst } else { 1.0 };
        let limit = if objective == Objective::Error { limit.min(1.0) } else { limit };
        bounds.get(objective).unwrap_or(limit)
    };
    (!points.is_empty()).then(|| objectives.iter().enumerate().map(beyond).collect())
}

fn pick(objectives: &Objectives, bounds: Bounds, error: usize, own: &[Point], foreign: &[Point]) -> Pick {
    let best = |points: &[Point]| {
        let within = |point: &Point| point.feasible && keeps(objectives, &bounds, &point.member.values);
        let candidates = points.iter().enumerate().filter(|(_, point)| within(point));
        candidates
            .min_by(|(_, a), (_, b)| a.member.values[error].total_cmp(&b.member.values[error]))
            .map(|(index, _)| index)
    };
    let (best_own, best_foreign) = (best(own), best(foreign));
    let own = best_own.map(|index| &own[index].member.values);
    let error_difference = own.zip(best_foreign).map(|(own, index)| foreign[index].member.values[error] - own[error]);
    let least = |objective: Objective| {
        let (own, at) = (own?, objectives.position(objective)?);
        let as_accurate = foreign.iter().filter(|point| point.feasible && point.member.values[error] <= own[error]);
        let least = as_accurate.map(|point| point.member.values[at]).reduce(f64::min)?;
        (own[at] > 0.0).then(|| least / own[at])
    };
    let of_device = objectives.iter().filter(|objective| is_of_device(*objective));
    Pick {
        as_accurate: of_device.map(|objective| (objective, least(objective))).collect(),
        own: best_own,
        foreign: best_foreign,
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

    fn front(values: &[[f64; 2]]) -> Vec<Member> {
        let member = |(values, number): (&[f64; 2], u64)| Member {
            evaluation: number,
            architecture: format!("a{number}"),
            values: values.to_vec(),
            origin: Origin::Journal,
        };
        values.iter().zip(0..).map(member).collect()
    }

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn shares_of_tiny_fronts_by_hand() {
        let bounds = Bounds::new([(Objective::Error, 0.5), (Objective::Time, 10.0)]).unwrap();
        // Of the box of 0.5 × 10: 0.4 × 2 + 0.3 × (8 − 2) = 2.6 by the own front, 0.3 × 4 + 0.1 × (9 − 4) = 1.7 by the
        // foreign one, whose second member alone is not beaten.
        let own = front(&[[0.1, 8.0], [0.2, 2.0]]);
        let foreign = front(&[[0.2, 6.0], [0.4, 1.0], [0.05, 11.0]]);
        let found = judge(&objectives(), &bounds, own, foreign, &[]);
        assert_eq!(found.reference, Some(vec![0.5, 10.0]));
        assert!(close(found.hypervolumes[0], 2.6) && close(found.hypervolumes[1], 1.7), "{found:?}");
        assert!(close(found.share, 1.7 / 2.6));
        assert_eq!(found.staying(), 1);
        let stay: Vec<_> = found.foreign.iter().map(|point| (point.feasible, point.on_joint_front)).collect();
        assert_eq!(stay, [(true, false), (true, true), (false, false)], "the third is beyond the bound on time");
        assert!(found.own.iter().all(|point| point.on_joint_front));
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
    fn equal_fronts_lose_nothing() {
        let points = [[0.1, 8.0], [0.2, 2.0]];
        let found = judge(&objectives(), &Bounds::default(), front(&points), front(&points), &[]);
        assert_eq!((found.share, found.staying()), (Some(1.0), 2));
        assert_eq!(found.picks[0].error_difference, Some(0.0));
        assert_eq!(found.picks[0].as_accurate, [(Objective::Time, Some(1.0))]);
    }

    #[test]
    fn nothing_known_is_no_share_and_nothing_within_bounds_is_none_at_all() {
        let bounds = Bounds::new([(Objective::Time, 4.0)]).unwrap();
        let own = front(&[[0.2, 3.0]]);
        let found = judge(&objectives(), &bounds, own.clone(), Vec::new(), &[]);
        assert_eq!((found.share, found.hypervolumes[1]), (None, None));
        let found = judge(&objectives(), &bounds, own.clone(), front(&[[0.1, 5.0]]), &[]);
        assert_eq!((found.share, found.staying()), (Some(0.0), 0), "all of it is beyond the bound");
        let found = judge(&objectives(), &bounds, Vec::new(), own, &[]);
        assert_eq!((found.share, found.staying()), (None, 1));
        let found = judge(&objectives(), &bounds, Vec::new(), Vec::new(), &[]);
        assert_eq!((found.reference, found.share), (None, None));
        assert_eq!((found.picks[0].own, found.picks[0].error_difference), (None, None));
    }

    #[test]
    fn the_best_within_a_bound_and_what_as_accurate_a_one_costs() {
        let own = front(&[[0.1, 8.0], [0.2, 2.0], [0.3, 1.0]]);
        let foreign = front(&[[0.15, 9.0], [0.25, 3.0], [0.08, 20.0]]);
        let asked = [4.0, 1.0].map(|time| Bounds::new([(Objective::Time, time)]).unwrap());
        let found = judge(&objectives(), &Bounds::default(), own, foreign, &asked);
        let [free, four, one] = &found.picks[..] else { panic!("{:?}", found.picks) };
        assert_eq!((free.own, free.foreign), (Some(0), Some(2)));
        assert!(close(free.error_difference, -0.02), "the foreign front may be the better one");
        assert_eq!(free.as_accurate, [(Objective::Time, Some(2.5))], "20 ms for at most 10 %, in place of 8");
        assert_eq!((four.own, four.foreign), (Some(1), Some(1)));
        assert!(close(four.error_difference, 0.05));
        assert_eq!(four.as_accurate, [(Objective::Time, Some(4.5))], "9 ms for at most 20 %, in place of 2");
        assert_eq!((one.own, one.foreign, one.error_difference), (Some(2), None, None));
        assert_eq!(one.as_accurate, [(Objective::Time, Some(3.0))], "3 ms for at most 30 %, in place of 1");
    }

    #[test]
    fn without_the_error_nothing_is_picked() {
        let objectives = Objectives::new([Objective::Time, Objective::Energy]).unwrap();
        let found = judge(&objectives, &Bounds::default(), front(&[[1.0, 2.0]]), front(&[[2.0, 1.0]]), &[]);
        assert_eq!((found.staying(), found.picks.len()), (1, 0));
    }
}
