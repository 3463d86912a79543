//! Clipping gradients by the norm over all parameters together.
//!
//! burn clips the gradient of each parameter alone, which changes the direction of the whole gradient.

use anyhow::Result;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::sampling::fetch;

/// Scales all gradients of a module by one factor so that their norm over all parameters is at most `limit`. Returns
/// them with their norm before (Pascanu et al. 2013, algorithm 1).
pub(super) fn clip<M: Module>(module: &M, gradients: GradientsParams, limit: f64) -> Result<(GradientsParams, f64)> {
    let mut squares = Squares { gradients: &gradients, sums: Vec::new() };
    module.visit(&mut squares);
    if squares.sums.is_empty() {
        return Ok((gradients, 0.0));
    }
    let total: f64 = fetch(Tensor::cat(squares.sums, 0))?.into_iter().map(f64::from).sum();
    let norm = total.sqrt();
    if !norm.is_finite() || norm <= limit {
        return Ok((gradients, norm));
    }
    let mut scaling = Scaling { gradients, factor: limit / norm };
    module.visit(&mut scaling);
    Ok((scaling.gradients, norm))
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.square().sum());
        }
    }
}

struct Scaling {
    gradients: GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scaling {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<1>>,
        b: Param<Tensor<2>>,
    }

    #[test]
    fn the_norm_is_taken_over_all_parameters_and_the_direction_kept() {
        let device = Device::default().autodiff();
        let two = Two {
            a: Param::from_tensor(Tensor::from_floats([1.0], &device)),
            b: Param::from_tensor(Tensor::from_floats([[1.0, 1.0]], &device)),
        };
        let gradients = || {
            let factors = Tensor::<2>::from_floats([[4.0, 12.0]], &device);
            let loss = (two.a.val() * 3.0).sum() + (two.b.val() * factors).sum();
            GradientsParams::from_grads(loss.backward(), &two)
        };
        let (clipped, norm) = clip(&two, gradients(), 1.3).unwrap();
        assert!((norm - 13.0).abs() < 1e-5);
        let (a, b) = (clipped.get::<1>(two.a.id).unwrap(), clipped.get::<2>(two.b.id).unwrap());
        for (found, expected) in fetch(a).unwrap().into_iter().chain(fetch(b).unwrap()).zip([0.3, 0.4, 1.2]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let (whole, _) = clip(&two, gradients(), 20.0).unwrap();
        assert_eq!(fetch(whole.get::<2>(two.b.id).unwrap()).unwrap(), [4.0, 12.0]);
    }
}
