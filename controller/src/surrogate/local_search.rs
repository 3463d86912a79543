//! Local search for hyper-parameters.

/// The steps of a search.
pub(super) struct Steps {
    /// Their number.
    pub count: usize,
    /// Width of the first one.
    pub width: f64,
    /// Least and largest width.
    pub range: [f64; 2],
    /// By how much a failure narrows them.
    pub narrowing: f64,
}

/// The place of the least loss that random steps find, which widen after success and narrow after failure. `moved` gives a
/// place at about a distance from another.
pub(super) fn minimise<T>(from: T, steps: &Steps, loss: impl Fn(&T) -> f64, mut moved: impl FnMut(&T, f64) -> T) -> T {
    const WIDENING: f64 = 1.4;
    let [least_width, most_width] = steps.range;
    let (mut best, mut width) = (from, steps.width);
    let mut least = loss(&best);
    for _ in 0..steps.count {
        let next = moved(&best, width);
        let this = loss(&next);
        if this < least {
            (best, least, width) = (next, this, (width * WIDENING).min(most_width));
        } else {
            width = (width * steps.narrowing).max(least_width);
        }
    }
    best
}
