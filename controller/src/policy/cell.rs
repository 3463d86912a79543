//! The part of an LSTM's step that is element by element. All matrices are `[episodes, hidden]`, but for the gates:
//! `[episodes, 4 · hidden]`, in the order input, forget, output, candidate.
//!
//! These are types and no closures because the compiler then makes them of the processor's widest vector instructions.

use pulp::NullaryFnOnce;

use super::activation::{sigmoid, tanh};

/// One step: the gates before their activation become those after it.
pub(super) struct Step<'a> {
    pub hidden: usize,
    pub gates: &'a mut [f32],
    /// The cells of the step before.
    pub last: &'a [f32],
    pub cells: &'a mut [f32],
    /// The hyperbolic tangents of the cells.
    pub squashed: &'a mut [f32],
    pub outputs: &'a mut [f32],
}

impl NullaryFnOnce for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let units = self.hidden;
        let states = self.cells.chunks_exact_mut(units).zip(self.last.chunks_exact(units));
        for (gates, (cell, last)) in self.gates.chunks_exact_mut(4 * units).zip(states) {
            let (opened, candidate) = gates.split_at_mut(3 * units);
            opened.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
            candidate.iter_mut().for_each(|value| *value = tanh(*value));
            let (input, forget) = (&opened[..units], &opened[units..2 * units]);
            for unit in 0..units {
                cell[unit] = forget[unit] * last[unit] + input[unit] * candidate[unit];
            }
        }
        self.squashed.iter_mut().zip(&*self.cells).for_each(|(squashed, cell)| *squashed = tanh(*cell));
        let states = self.outputs.chunks_exact_mut(units).zip(self.squashed.chunks_exact(units));
        for (gates, (output, squashed)) in self.gates.chunks_exact(4 * units).zip(states) {
            let leave = &gates[2 * units..3 * units];
            for unit in 0..units {
                output[unit] = leave[unit] * squashed[unit];
            }
        }
    }
}

/// The derivatives of a [`Step`].
pub(super) struct StepBack<'a> {
    pub hidden: usize,
    /// Written: those of the gates before their activation.
    pub slopes: &'a mut [f32],
    /// Those of this step's cells by way of later steps, which become those of the cells before.
    pub cells: &'a mut [f32],
    /// Those of the outputs.
    pub outputs: &'a [f32],
    /// The gates after their activation.
    pub gates: &'a [f32],
    /// The cells of the step before.
    pub last: &'a [f32],
    pub squashed: &'a [f32],
}

impl NullaryFnOnce for StepBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let units = self.hidden;
        let gates = self.gates.chunks_exact(4 * units).zip(self.slopes.chunks_exact_mut(4 * units));
        let outputs = self.outputs.chunks_exact(units).zip(self.squashed.chunks_exact(units));
        let cells = self.cells.chunks_exact_mut(units).zip(self.last.chunks_exact(units));
        for (((gates, slopes), (output, squashed)), (cell, last)) in gates.zip(outputs).zip(cells) {
            let (input, forget) = (&gates[..units], &gates[units..2 * units]);
            let (leave, candidate) = (&gates[2 * units..3 * units], &gates[3 * units..]);
            for unit in 0..units {
                cell[unit] += output[unit] * leave[unit] * (1.0 - squashed[unit] * squashed[unit]);
            }
            let slope = &mut slopes[..units];
            for unit in 0..units {
                slope[unit] = cell[unit] * candidate[unit] * input[unit] * (1.0 - input[unit]);
            }
            let slope = &mut slopes[units..2 * units];
            for unit in 0..units {
                slope[unit] = cell[unit] * last[unit] * forget[unit] * (1.0 - forget[unit]);
            }
            let slope = &mut slopes[2 * units..3 * units];
            for unit in 0..units {
                slope[unit] = output[unit] * squashed[unit] * leave[unit] * (1.0 - leave[unit]);
            }
            let slope = &mut slopes[3 * units..];
            for unit in 0..units {
                slope[unit] = cell[unit] * input[unit] * (1.0 - candidate[unit] * candidate[unit]);
            }
            cell.iter_mut().zip(forget).for_each(|(cell, forget)| *cell *= forget);
        }
    }
}
