//! Properties of the graphs of every space.

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::Error;
use crate::space::tests::{IMAGES, spaces};

/// Another encoding of the same network: layers in another topological order, summands in another order.
fn reordered(graph: &Graph, rng: &mut dyn Rng) -> Graph {
    let mut moved: Vec<Option<LayerId>> = vec![None; graph.layers.len()];
    let mut layers: Vec<Layer> = Vec::new();
    while layers.len() < graph.layers.len() {
        let last = layers.len() + 1 == graph.layers.len();
        let ready: Vec<usize> = (0..graph.layers.len())
            .filter(|index| moved[*index].is_none() && (last || *index != graph.output().0))
            .filter(|index| graph.layers[*index].inputs.iter().all(|id| moved[id.0].is_some()))
            .collect();
        let next = ready[rng.random_range(0..ready.len())];
        let mut layer = graph.layers[next].clone();
        layer.inputs = layer.inputs.iter().filter_map(|id| moved[id.0]).collect();
        if layer.op == Op::Add {
            layer.inputs.shuffle(rng);
        }
        moved[next] = Some(LayerId(layers.len()));
        layers.push(layer);
    }
    Graph { layers }
}

/// Rebuilds the graph through the builder, which infers and checks every shape again.
fn rebuilt(graph: &Graph) -> Result<Graph, Error> {
    let (mut builder, _) = GraphBuilder::new(graph.input_shape())?;
    let (inner, last_two) = graph.layers.split_at(graph.layers.len() - 2);
    for layer in &inner[1..] {
        let id = builder.push(layer.op, &layer.inputs)?;
        if layer.droppable {
            builder.mark_droppable(id);
        }
    }
    builder.classifier(last_two[0].inputs[0], graph.classes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pruning_keeps_the_network(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let architecture = space.random(&mut rng);
            for image in IMAGES {
                let written = space.graph(&architecture, image, 10).unwrap();
                let pruned = written.pruned();
                prop_assert_eq!((pruned.input_shape(), pruned.classes()), (image, 10));
                prop_assert_eq!(pruned.layer(pruned.output()).shape, written.layer(written.output()).shape);
                prop_assert_eq!(pruned.is_connected(), written.is_connected());
                prop_assert_eq!(rebuilt(&pruned), Ok(pruned.clone()));
                prop_assert_eq!(pruned.pruned(), pruned.clone());

                let (before, after) = (written.cost(), pruned.cost());
                prop_assert!(after.macs <= before.macs && after.parameters <= before.parameters);
                prop_assert!(after.depth <= before.depth);
                prop_assert!(after.peak_activation_bytes <= before.peak_activation_bytes);
            }
        }
    }

    #[test]
    fn every_layer_of_a_pruned_graph_is_read(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let pruned = space.graph(&space.random(&mut rng), IMAGES[0], 10).unwrap().pruned();
            let is_read = |index| pruned.layers.iter().any(|layer| layer.inputs.contains(&LayerId(index)));
            prop_assert!((0..pruned.output().0).all(is_read));
        }
    }

    #[test]
    fn canonical_key_is_that_of_the_network(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let written = space.graph(&space.random(&mut rng), IMAGES[0], 10).unwrap();
            let key = written.canonical();
            prop_assert_eq!(written.pruned().canonical(), key);
            prop_assert_eq!(reordered(&written, &mut rng).canonical(), key);
            prop_assert_eq!(reordered(&written.pruned(), &mut rng).canonical(), key);
        }
    }
}
