//! The canonical keys of all of NAS-Bench-201, compared with the functions that the cells compute. Those are derived
//! from the choices alone, without graph, pruning or refinement of colours.
//!
//! A cell is evaluated with random functions for its operations, each edge with its own, as each has its own
//! weights and its own place on a device. Two cells are the same network if and only if the edges' functions can be
//! assigned so that both give the same value. This definition, like the keys, ignores equalities that only algebra
//! shows: that pooling is linear, or that two poolings of one input are equal.

use std::collections::HashMap;

use super::*;
use crate::space::{Architecture, NasBench201, NasBench201Settings, SearchSpace};

/// Source and target of each edge, in the order of the choices.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
const NONE: usize = 0;
const SKIP: usize = 1;
const OPERATIONS: usize = 5;

/// A random function that depends on all bits (Stafford's variant 13 of MurmurHash3's finaliser, as in SplitMix64).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The result of an operation on a value, as the one with this label among its kind. Zeros stay zeros.
fn applied(operation: usize, label: usize, value: u64) -> u64 {
    if value == 0 { 0 } else { mixed(value.wrapping_add(mixed((operation * 100 + label) as u64))) }
}

/// Edges on a way from the cell's input to its output.
fn live(choices: &[usize]) -> Vec<usize> {
    let mut from_input = [true, false, false, false];
    let mut to_output = [false, false, false, true];
    for (edge, (source, target)) in EDGES.iter().enumerate() {
        from_input[*target] |= choices[edge] != NONE && from_input[*source];
    }
    for (edge, (source, target)) in EDGES.iter().enumerate().rev() {
        to_output[*source] |= choices[edge] != NONE && to_output[*target];
    }
    let is_live = |edge: &usize| choices[*edge] != NONE && from_input[EDGES[*edge].0] && to_output[EDGES[*edge].1];
    (0..EDGES.len()).filter(is_live).collect()
}

/// The cell's output for labels of its live edges. Sums are sums of numbers: of any order and nesting.
fn output(choices: &[usize], live: &[usize], labels: &[usize]) -> u64 {
    let mut nodes = [1u64, 0, 0, 0];
    for (edge, label) in live.iter().zip(labels) {
        let (source, target) = EDGES[*edge];
        let value = nodes[source];
        let value = if choices[*edge] == SKIP { value } else { applied(choices[*edge], *label, value) };
        nodes[target] = nodes[target].wrapping_add(value);
    }
    nodes[3]
}

/// The least output over all ways to hand out the labels 0, 1, … among the edges of each kind: equal for two cells if
/// and only if they are the same function of the same operations, but for a chance of some 2⁻⁴⁰.
fn signature(choices: &[usize]) -> u64 {
    let live = live(choices);
    let mut labels = vec![0; live.len()];
    let mut least = u64::MAX;
    hand_out(choices, &live, &mut labels, 0, &mut least);
    least
}

fn hand_out(choices: &[usize], live: &[usize], labels: &mut [usize], next: usize, least: &mut u64) {
    let Some(edge) = live.get(next) else {
        *least = output(choices, live, labels).min(*least);
        return;
    };
    let alike = |other: &usize| choices[*other] == choices[*edge];
    let count = if choices[*edge] == SKIP { 1 } else { live.iter().filter(|other| alike(other)).count() };
    for label in 0..count {
        let is_taken = live[..next].iter().zip(labels.iter()).any(|(other, taken)| alike(other) && *taken == label);
        if choices[*edge] == SKIP || !is_taken {
            labels[next] = label;
            hand_out(choices, live, labels, next + 1, least);
        }
    }
}

#[test]
fn equal_keys_in_nasbench201_are_equal_functions_and_the_other_way_round() {
    let space = NasBench201::new(NasBench201Settings { channels: 1, cells: 1, ..Default::default() }).unwrap();
    let mut signature_of: HashMap<CanonicalKey, u64> = HashMap::new();
    let mut key_of: HashMap<u64, CanonicalKey> = HashMap::new();
    for number in 0..OPERATIONS.pow(6) {
        let choices: Vec<usize> = (0..6).map(|place| number / OPERATIONS.pow(place) % OPERATIONS).collect();
        let signature = signature(&choices);
        let architecture = Architecture::new(choices);
        let key = space.graph(&architecture, Shape::new(1, 4, 4), 2).unwrap().canonical();
        let text = space.format(&architecture).unwrap();
        assert_eq!(*signature_of.entry(key).or_insert(signature), signature, "one key, two functions: {text}");
        assert_eq!(*key_of.entry(signature).or_insert(key), key, "one function, two keys: {text}");
    }
    // 6,466 by the benchmark's own definition, which keeps zeros as summands and expands shared nodes.
    assert_eq!(key_of.len(), 5_425);
}
