//! Rank correlation.

/// Spearman's rank correlation of some pairs; `None` for fewer than two or if one side is constant.
pub(crate) fn rank_correlation(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let [first, second] = [ranks(&first), ranks(&second)];
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (sum(&first, &first) * sum(&second, &second)).sqrt();
    (scale > 0.0).then(|| sum(&first, &second) / scale)
}

/// Ranks about their mean; equal values have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let (count, mut from) = (values.len() as f64, 0);
    while from < order.len() {
        let equal = order[from..].iter().take_while(|place| values[**place] == values[order[from]]).count();
        // Below it are `from` values, above it all behind the equal ones.
        let rank = 0.5 * (from as f64 - (count - (from + equal) as f64));
        order[from..from + equal].iter().for_each(|place| ranks[*place] = rank);
        from += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_is_spearmans() {
        let rising: Vec<_> = (0..6).map(|i| (f64::from(i), f64::from(i * i))).collect();
        assert!((rank_correlation(rising).unwrap() - 1.0).abs() < 1e-12);
        // By hand: ranks 1 to 5 against 2, 1, 4, 3, 5: 1 - 6 * 4 / (5 * 24).
        let shuffled = [(1.0, 20.0), (2.0, 10.0), (3.0, 40.0), (4.0, 30.0), (5.0, 50.0)];
        assert!((rank_correlation(shuffled).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(rank_correlation([(1.0, 2.0); 9]), None);
        assert_eq!(rank_correlation([]), None);
        // Ties have mean ranks: 1.5, 1.5, 3 against 1, 2, 3 correlate by √3 / 2.
        let tied = rank_correlation([(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]).unwrap();
        assert!((tied - 3.0_f64.sqrt() / 2.0).abs() < 1e-12, "{tied}");
    }
}
