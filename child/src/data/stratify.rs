//! Choosing a number of images such that every class keeps its share.

use std::ops::RangeInclusive;

use crate::Error;

/// Positions of `limit` of the items with these labels, in their order: of each class its share, spread evenly over the
/// class's items. All of them if they are no more.
///
/// # Errors
/// If there are more classes than items to keep.
pub(super) fn limited(
    labels: impl ExactSizeIterator<Item = u16>,
    classes: usize,
    limit: usize,
) -> Result<Vec<usize>, Error> {
    if limit < classes {
        let reason = format!("{limit} images are too few for {classes} classes; raise it");
        return Err(Error::setting("limit", reason));
    }
    let count = labels.len();
    if limit >= count {
        return Ok((0..count).collect());
    }
    let mut by_class = vec![Vec::new(); classes];
    for (position, label) in labels.enumerate() {
        by_class[usize::from(label)].push(position);
    }
    let counts: Vec<_> = by_class.iter().map(Vec::len).collect();
    let shares = shares(&counts, limit, |count| 1..=count);
    let mut kept: Vec<_> = (by_class.iter().zip(shares))
        .flat_map(|(class, share)| (0..share).map(move |nth| class[nth * class.len() / share]))
        .collect();
    kept.sort_unstable();
    Ok(kept)
}

/// Shares `total` out among classes in proportion to `counts` by largest remainders, each share within its bounds.
///
/// The shares add up to `total` unless the bounds forbid it; then they lie as close to it as the bounds let them.
pub(super) fn shares(counts: &[usize], total: usize, bounds: impl Fn(usize) -> RangeInclusive<usize>) -> Vec<usize> {
    let sum: usize = counts.iter().sum();
    // Shares are compared in units of 1/sum: exact, hence the same on every machine.
    let excess = |class: usize, share: usize| share as i128 * sum as i128 - counts[class] as i128 * total as i128;
    let bounds: Vec<_> = counts.iter().map(|count| bounds(*count)).collect();
    let mut shares: Vec<usize> = (counts.iter().zip(&bounds))
        .map(|(count, bounds)| {
            let floor = (*count as u128 * total as u128 / (sum as u128).max(1)) as usize;
            floor.min(*bounds.end()).max(*bounds.start())
        })
        .collect();
    loop {
        let given: usize = shares.iter().sum();
        let classes = 0..counts.len();
        let next = match given.cmp(&total) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less => classes
                .filter(|class| shares[*class] < *bounds[*class].end())
                .min_by_key(|class| excess(*class, shares[*class]))
                .map(|class| (class, shares[class] + 1)),
            std::cmp::Ordering::Greater => classes
                .filter(|class| shares[*class] > *bounds[*class].start())
                .max_by_key(|class| excess(*class, shares[*class]))
                .map(|class| (class, shares[class] - 1)),
        };
        match next {
            Some((class, share)) => shares[class] = share,
            None => return shares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_proportional_and_add_up() {
        assert_eq!(shares(&[100, 100, 100], 30, |count| 1..=count), [10, 10, 10]);
        // Quotas 1.25, 2.5 and 1.25: the largest remainder gets the fifth.
        assert_eq!(shares(&[25, 50, 25], 5, |count| 1..=count), [1, 3, 1]);
        assert_eq!(
            shares(&[178, 182, 177, 183, 181, 182, 181, 179, 174, 180], 449, |n| 1..=n).iter().sum::<usize>(),
            449
        );
    }

    #[test]
    fn bounds_are_kept_even_against_the_total() {
        assert_eq!(shares(&[1000, 1, 1], 3, |count| 1..=count), [1, 1, 1]);
        assert_eq!(shares(&[1000, 2, 2], 500, |count| 1..=count - 1), [498, 1, 1]);
        assert_eq!(shares(&[4, 4], 1, |count| 1..=count - 1), [1, 1]);
        assert_eq!(shares(&[4, 4], 100, |count| 1..=count - 1), [3, 3]);
    }
}
