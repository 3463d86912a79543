//! Drop-path: whole paths left out at random while training.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;

/// Leaves a path out for an image with a given probability, and scales the rest so that its expectation stays
/// the same (Larsson et al. 2016, "FractalNet", §3; as used for cells by Zoph et al. 2018, §3.1).
#[derive(Debug)]
pub(crate) struct DropPath {
    /// In `[0, 1)`.
    pub(crate) probability: f64,
    pub(crate) rng: ChaCha8Rng,
}

impl DropPath {
    /// For each droppable layer, in the order of the layers, the factor of each image: 0 where the path is left out.
    pub(crate) fn factors(&mut self, graph: &Graph, batch: usize) -> Vec<Vec<f32>> {
        let scale = (1.0 / (1.0 - self.probability)) as f32;
        let mut of_layer = || {
            let mut of_image = || if self.rng.random_bool(self.probability) { 0.0 } else { scale };
            (0..batch).map(|_| of_image()).collect()
        };
        graph.layers.iter().filter(|layer| layer.droppable).map(|_| of_layer()).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::graph::{Conv, GraphBuilder, Shape};

    #[test]
    fn drop_path_keeps_the_expectation_and_drops_some_images_of_each_path() {
        let (mut graph, image) = GraphBuilder::new(Shape::new(1, 4, 4)).unwrap();
        let x = graph.conv(image, Conv::same(1, 3, 1)).unwrap();
        graph.mark_droppable(x);
        let y = graph.conv(x, Conv::same(1, 3, 1)).unwrap();
        graph.mark_droppable(y);
        let graph = graph.classifier(y, 2).unwrap();
        let mut drop_path = DropPath { probability: 0.3, rng: ChaCha8Rng::seed_from_u64(1) };
        let factors = drop_path.factors(&graph, 4000);
        assert_eq!(factors.len(), 2);
        assert_ne!(factors[0], factors[1]);
        for factors in factors {
            assert!(factors.iter().all(|factor| *factor == 0.0 || (factor - 1.0 / 0.7).abs() < 1e-6));
            let mean = factors.iter().sum::<f32>() / 4000.0;
            assert!((mean - 1.0).abs() < 0.05, "{mean}");
        }
    }
}
