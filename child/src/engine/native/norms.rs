//! The statistics of a batch, joined from those of its images.

use super::layout::{Parameters, Running};
use super::model::Model;
use super::state::{Frame, NormState};
use crate::network::Norm;

/// Sets the factor of each norm from its scale.
pub(super) fn set_factors(model: &Model, norms: &mut [NormState]) {
    for parameters in model.layout.of_node.iter().flatten() {
        if let Parameters::Norm { scale, norm, .. } = parameters {
            set_factor(&mut norms[*norm], &model.weights[scale.clone()]);
        }
    }
}

fn set_factor(state: &mut NormState, scale: &[f32]) {
    state.factor = scale.iter().zip(&state.inverse).map(|(scale, inverse)| scale * inverse).collect();
}

/// Mean and variance of a batch, from each image's mean and its sum of squared distances from it (Chan et al. 1979), and
/// their part in the running statistics.
pub(super) fn join_statistics(
    images: &[&Frame],
    norm: usize,
    places: usize,
    scale: &[f32],
    state: &mut NormState,
    running: &mut Running,
) {
    let channels = scale.len();
    let count = images.len() as f64;
    let mut means = vec![0.0; channels];
    for image in images {
        let of_image = &image.norms[norm][..channels];
        means.iter_mut().zip(of_image).for_each(|(mean, of_image)| *mean += f64::from(*of_image) / count);
    }
    let mut squares = vec![0.0; channels];
    for image in images {
        let (of_image, within) = image.norms[norm].split_at(channels);
        for ((square, mean), (of_image, within)) in squares.iter_mut().zip(&means).zip(of_image.iter().zip(within)) {
            let distance = f64::from(*of_image) - mean;
            *square += f64::from(*within) + places as f64 * distance * distance;
        }
    }
    let variances = squares.iter().map(|square| square / (count * places as f64));
    let update = |running: &mut f32, now: f64| {
        *running = (f64::from(*running) * (1.0 - Norm::MOMENTUM) + now * Norm::MOMENTUM) as f32;
    };
    for (channel, variance) in variances.enumerate() {
        state.mean[channel] = means[channel] as f32;
        state.inverse[channel] = (1.0 / (variance + Norm::EPSILON).sqrt()) as f32;
        update(&mut running.mean[channel], means[channel]);
        update(&mut running.variance[channel], variance);
    }
    set_factor(state, scale);
}

/// The gradients of scale and shift, from each image's sums, and the state that the rest of the backward pass needs.
pub(super) fn join_sums(
    images: &[&Frame],
    norm: usize,
    places: usize,
    state: &mut NormState,
    of_scale: &mut [f32],
    of_shift: &mut [f32],
) {
    let channels = of_scale.len();
    let mut sums = vec![[0.0, 0.0]; channels];
    for image in images {
        let (gradients, products) = image.norms[norm].split_at(channels);
        for (sum, (gradient, product)) in sums.iter_mut().zip(gradients.iter().zip(products)) {
            sum[0] += f64::from(*gradient);
            sum[1] += f64::from(*product);
        }
    }
    let count = (images.len() * places) as f64;
    for (channel, [gradient, product]) in sums.into_iter().enumerate() {
        let (inverse, factor) = (f64::from(state.inverse[channel]), f64::from(state.factor[channel]));
        of_shift[channel] = gradient as f32;
        of_scale[channel] = (product * inverse) as f32;
        state.slope[channel] = (-factor * inverse * inverse * product / count) as f32;
        state.constant[channel] = (-factor * gradient / count) as f32;
    }
}
