//! Structural features of a graph, for a surrogate that predicts error, time and energy.

use super::{Conv, Graph, Layer, Op, PoolKind};

/// Structural features of one network, in a fixed order: see [`Graph::features`].
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Of the network without dead branches, which determines the error.
    pub live: Vec<f64>,
    /// Of the layers that a runtime executes which does not know that zeros are zeros. They determine time and energy.
    pub executed: Vec<f64>,
}

/// Classes of layers that are counted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Pointwise,
    Spatial,
    Grouped,
    AveragePool,
    MaxPool,
}

impl Class {
    const COUNT: usize = 5;

    fn of(op: Op) -> Option<Self> {
        match op {
            Op::Conv(Conv { groups, .. }) if groups > 1 => Some(Self::Grouped),
            Op::Conv(Conv { kernel: 1, .. }) => Some(Self::Pointwise),
            Op::Conv(_) => Some(Self::Spatial),
            Op::Pool(pool) => Some(match pool.kind {
                PoolKind::Average => Self::AveragePool,
                PoolKind::Max => Self::MaxPool,
            }),
            _ => None,
        }
    }

    fn is_convolution(self) -> bool {
        !matches!(self, Self::AveragePool | Self::MaxPool)
    }
}

impl Graph {
    /// Structural features: counts, costs and paths. They are finite, and have the same number and order for every
    /// graph.
    ///
    /// Both parts start with, for each of pointwise, spatial and grouped convolutions, average and max pooling, the
    /// number of layers and ln(1 + multiply-accumulates) (of a pooling: its window times its output); then the summands
    /// beyond the first and the parts of concatenations, ln(1 + MACs), ln(1 + parameters), ln(1 + elements of all
    /// outputs, a sum's once for each addition), and the longest path in convolutions and in operations.
    ///
    /// The live part continues with the paths from the image to the logits: ln of their number, their mean length, for
    /// each class of layer and for all convolutions the mean, the largest and the smallest number on a path, the
    /// standard deviation of the convolutions on a path, and 1 for a network whose logits do not see the image. A
    /// gate ([`Op::Scale`]) does not count as a path.
    ///
    /// A convolution of zeros is executed by a runtime that does not know zeros: on NAS-Bench-201, linear models of
    /// the logarithm of measured Jetson TX2 times (HW-NAS-Bench) explain 65 % of the variance by the live part's
    /// counts and 74 % by the executed part's.
    pub fn features(&self) -> Features {
        let pruned = self.pruned();
        let all = vec![true; pruned.layers.len()];
        let mut live = pruned.totals(&all);
        live.extend(pruned.paths());
        live.push(f64::from(u8::from(!self.is_connected())));
        Features { live, executed: self.totals(&self.executed()) }
    }

    /// Counts, costs and depths of the layers that count.
    fn totals(&self, counts: &[bool]) -> Vec<f64> {
        let mut number = [0.0; Class::COUNT];
        let mut work = [0.0; Class::COUNT];
        let (mut summands, mut parts, mut elements, mut macs, mut parameters) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut depths: Vec<[f64; 2]> = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let mut depth = [0.0_f64; 2];
            for input in &layer.inputs {
                depth = std::array::from_fn(|at| depth[at].max(depths[input.0][at]));
            }
            if counts[index] {
                let (layer_macs, layer_parameters) = self.counts(layer);
                macs += layer_macs as f64;
                parameters += layer_parameters as f64;
                let live_inputs = layer.inputs.iter().filter(|id| !self.is_zero(id.0)).count() as f64;
                // Nested sums count as one sum, so that all encodings of a network have the same number.
                let added = (live_inputs - 1.0).max(0.0);
                match layer.op {
                    Op::Add => summands += added,
                    Op::Concat => parts += live_inputs,
                    _ => {}
                }
                let outputs = if layer.op == Op::Add { added } else { 1.0 };
                elements += outputs * layer.shape.elements() as f64;
                if let Some(class) = Class::of(layer.op) {
                    number[class as usize] += 1.0;
                    work[class as usize] += work_of(layer, layer_macs);
                    depth[0] += f64::from(u8::from(class.is_convolution()));
                    depth[1] += 1.0;
                }
            }
            depths.push(depth);
        }
        let mut totals: Vec<f64> = number.iter().zip(work).flat_map(|(number, work)| [*number, work.ln_1p()]).collect();
        totals.extend([summands, parts, macs.ln_1p(), parameters.ln_1p(), elements.ln_1p()]);
        totals.extend(depths[self.output().0]);
        totals
    }

    fn is_zero(&self, index: usize) -> bool {
        matches!(self.layers[index].op, Op::Zero { .. })
    }

    /// Statistics over all paths, by dynamic programming along the layers.
    fn paths(&self) -> Vec<f64> {
        let mut at: Vec<Paths> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let followed = match layer.op {
                Op::Scale => &layer.inputs[..1],
                _ => &layer.inputs[..],
            };
            let mut paths = Paths::joined(followed.iter().map(|id| &at[id.0]));
            if let Some(class) = Class::of(layer.op) {
                paths.pass(class);
            }
            at.push(paths);
        }
        at.swap_remove(self.output().0).features()
    }
}

fn work_of(layer: &Layer, macs: u64) -> f64 {
    match layer.op {
        Op::Pool(pool) => (pool.kernel * pool.kernel * layer.shape.elements()) as f64,
        _ => macs as f64,
    }
}

/// Counts along a path: one for each class of layer, and last one for all convolutions.
const COUNTED: usize = Class::COUNT + 1;
const CONVOLUTIONS: usize = Class::COUNT;

/// All paths from the image to one layer. Their number is kept as its logarithm: it grows exponentially with depth.
#[derive(Debug, Clone)]
struct Paths {
    ln_number: f64,
    length: f64,
    mean: [f64; COUNTED],
    most: [f64; COUNTED],
    least: [f64; COUNTED],
    /// Mean square of the number of convolutions.
    square: f64,
}

impl Paths {
    /// One empty path.
    const START: Self = Self {
        ln_number: 0.0,
        length: 0.0,
        mean: [0.0; COUNTED],
        most: [0.0; COUNTED],
        least: [0.0; COUNTED],
        square: 0.0,
    };

    /// The paths of several inputs together; without inputs, the start.
    fn joined<'a>(inputs: impl Iterator<Item = &'a Self>) -> Self {
        inputs.cloned().reduce(Self::with).unwrap_or(Self::START)
    }

    fn with(self, other: Self) -> Self {
        let high = self.ln_number.max(other.ln_number);
        let (ours, theirs) = ((self.ln_number - high).exp(), (other.ln_number - high).exp());
        let share = ours / (ours + theirs);
        let mix = |a: f64, b: f64| share * a + (1.0 - share) * b;
        Self {
            ln_number: high + (ours + theirs).ln(),
            length: mix(self.length, other.length),
            mean: std::array::from_fn(|at| mix(self.mean[at], other.mean[at])),
            most: std::array::from_fn(|at| self.most[at].max(other.most[at])),
            least: std::array::from_fn(|at| self.least[at].min(other.least[at])),
            square: mix(self.square, other.square),
        }
    }

    /// Every path passes a layer of this class.
    fn pass(&mut self, class: Class) {
        self.length += 1.0;
        if class.is_convolution() {
            self.square += 2.0 * self.mean[CONVOLUTIONS] + 1.0;
        }
        let counted = [Some(class as usize), class.is_convolution().then_some(CONVOLUTIONS)];
        for at in counted.into_iter().flatten() {
            self.mean[at] += 1.0;
            self.most[at] += 1.0;
            self.least[at] += 1.0;
        }
    }

    fn features(self) -> Vec<f64> {
        let variance = self.square - self.mean[CONVOLUTIONS].powi(2);
        let mut features = vec![self.ln_number, self.length, variance.max(0.0).sqrt()];
        features.extend(self.mean.iter().chain(&self.most).chain(&self.least));
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{CanonicalKey, Shape};
    use crate::space::{Architecture, SearchSpace, SpaceConfig};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashMap;

    fn of(space: &dyn SearchSpace, architecture: &Architecture) -> (CanonicalKey, Features) {
        let graph = space.graph(architecture, Shape::new(3, 32, 32), 10).unwrap();
        (graph.canonical(), graph.features())
    }

    fn space(name: &str) -> std::sync::Arc<dyn SearchSpace> {
        let config: SpaceConfig = toml::from_str(&format!("name = '{name}'")).unwrap();
        config.build().unwrap().into()
    }

    #[test]
    fn features_are_finite_and_of_one_length_in_every_space() {
        for name in ["nasbench201", "nasnet", "mobile"] {
            let space = space(name);
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut lengths = None;
            for _ in 0..50 {
                let (_, features) = of(&*space, &space.random(&mut rng));
                assert!(features.live.iter().chain(&features.executed).all(|value| value.is_finite()), "{features:?}");
                let these = (features.live.len(), features.executed.len());
                assert_eq!(*lengths.get_or_insert(these), these);
            }
        }
    }

    #[test]
    fn encodings_of_one_network_have_the_same_live_part() {
        let space = space("nasbench201");
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut known: HashMap<CanonicalKey, Vec<f64>> = HashMap::new();
        let mut repeated = 0;
        for _ in 0..1500 {
            let (key, features) = of(&*space, &space.random(&mut rng));
            if let Some(before) = known.get(&key) {
                let pairs = before.iter().zip(&features.live);
                assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-9), "{before:?} {:?}", features.live);
                repeated += 1;
            }
            known.insert(key, features.live);
        }
        assert!(repeated > 100);
    }

    #[test]
    fn convolutions_of_zeros_are_executed_but_not_live() {
        let space = space("nasbench201");
        // Node 1 is zero, and a convolution carries it to the output.
        let text = "|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|";
        let (_, features) = of(&*space, &space.parse(text).unwrap());
        let plain = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";
        let (_, without) = of(&*space, &space.parse(plain).unwrap());
        let spatial = 2 * Class::Spatial as usize;
        assert_eq!(features.live, without.live);
        assert_eq!(features.executed[spatial] - without.executed[spatial], 15.0, "one in each of 15 cells");
    }

    #[test]
    fn paths_of_a_cell_are_counted() {
        let space = space("nasbench201");
        // Two paths: a 3×3 convolution, and nothing; the 15 cells are alike, and two residual blocks lie between them.
        let text = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|";
        let both = "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|";
        let (one, two) = (of(&*space, &space.parse(text).unwrap()).1, of(&*space, &space.parse(both).unwrap()).1);
        let start = 2 * Class::COUNT + 7;
        let gained = two.live[start] - one.live[start];
        assert!((gained - 15.0 * 2.0_f64.ln()).abs() < 1e-9, "{gained}");
        let mean = start + 3 + CONVOLUTIONS;
        assert!((one.live[mean] - two.live[mean] - 7.5).abs() < 1e-9, "half of the paths pass by each convolution");
    }
}
