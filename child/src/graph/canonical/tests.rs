//! Tests of the canonical form.

use std::collections::HashMap;

use super::*;
use crate::Error;
use crate::graph::{Conv, GraphBuilder, LayerId};
use crate::space::{Architecture, NasBench201, NasBench201Settings, SearchSpace};

/// Key of the network that `body` builds on an image of `[3, 8, 8]`.
fn key(body: impl Fn(&mut GraphBuilder, LayerId) -> Result<LayerId, Error>) -> CanonicalKey {
    let (mut graph, image) = GraphBuilder::new(Shape::new(3, 8, 8)).unwrap();
    let features = body(&mut graph, image).unwrap();
    graph.classifier(features, 10).unwrap().canonical()
}

#[test]
fn order_of_layers_and_summands_does_not_change_the_key() {
    let one = key(|g, x| {
        let a = g.conv(x, Conv::same(4, 3, 1))?;
        let b = g.conv(x, Conv::same(4, 1, 1))?;
        g.add(&[a, b])
    });
    let other = key(|g, x| {
        let b = g.conv(x, Conv::same(4, 1, 1))?;
        let a = g.conv(x, Conv::same(4, 3, 1))?;
        g.add(&[a, b])
    });
    assert_eq!(one, other);
}

#[test]
fn sharing_changes_the_key() {
    let shared = key(|g, x| {
        let a = g.conv(x, Conv::same(4, 3, 1))?;
        g.add(&[a, a])
    });
    let twice = key(|g, x| {
        let a = g.conv(x, Conv::same(4, 3, 1))?;
        let b = g.conv(x, Conv::same(4, 3, 1))?;
        g.add(&[a, b])
    });
    let once = key(|g, x| g.conv(x, Conv::same(4, 3, 1)));
    assert!(shared != twice && once != shared && once != twice);
}

#[test]
fn the_place_of_sharing_changes_the_key() {
    // Both have the layers 1×1, 1×1, 3×3 and 5×5; in one, 3×3 and 5×5 share a 1×1, in the other each reads its own.
    let body = |first: usize, second: usize| {
        key(move |g, x| {
            let ones = [g.conv(x, Conv::same(4, 1, 1))?, g.conv(x, Conv::same(4, 1, 1))?];
            let a = g.conv(ones[first], Conv::same(4, 3, 1))?;
            let b = g.conv(ones[second], Conv::same(4, 5, 1))?;
            g.add(&[a, b, ones[0], ones[1]])
        })
    };
    assert_eq!(body(0, 1), body(1, 0));
    assert_eq!(body(0, 0), body(1, 1));
    assert_ne!(body(0, 1), body(0, 0));
}

#[test]
fn order_of_concatenation_changes_the_key() {
    let body = |swap: bool| {
        key(move |g, x| {
            let (a, b) = (g.conv(x, Conv::same(4, 3, 1))?, g.conv(x, Conv::same(4, 1, 1))?);
            g.concat(&if swap { [b, a] } else { [a, b] })
        })
    };
    assert_ne!(body(false), body(true));
}

#[test]
fn nested_sums_are_one_sum_unless_read_elsewhere() {
    let body = |right: bool, read_again: bool| {
        key(move |g, x| {
            let parts: Vec<_> =
                [1, 3, 5].into_iter().map(|k| g.conv(x, Conv::same(3, k, 1))).collect::<Result<_, _>>()?;
            let (inner, rest) = if right { (&parts[1..], parts[0]) } else { (&parts[..2], parts[2]) };
            let inner = g.add(inner)?;
            let sum = g.add(&[inner, rest])?;
            if read_again { g.concat(&[sum, inner]) } else { Ok(sum) }
        })
    };
    assert_eq!(body(false, false), body(true, false));
    assert_ne!(body(false, true), body(true, true));
}

#[test]
fn zeros_are_equal_wherever_they_come_from() {
    let body = |other: bool| {
        key(move |g, x| {
            let a = g.conv(x, Conv::same(4, 3, 1))?;
            let b = g.conv(a, Conv::same(4, 3, 1))?;
            let zero = g.push(Op::Zero { stride: 1 }, &[if other { b } else { a }])?;
            g.concat(&[b, zero])
        })
    };
    assert_eq!(body(false), body(true));
}

#[test]
fn settings_shapes_and_classes_change_the_key() {
    let build = |input: Shape, channels: usize, stride: usize, classes: usize| {
        let (mut graph, image) = GraphBuilder::new(input).unwrap();
        let x = graph.conv(image, Conv::same(channels, 3, stride)).unwrap();
        graph.classifier(x, classes).unwrap().canonical()
    };
    let image = Shape::new(3, 8, 8);
    let all = [
        build(image, 4, 1, 10),
        build(image, 4, 1, 11),
        build(image, 4, 2, 10),
        build(image, 5, 1, 10),
        build(Shape::new(1, 8, 8), 4, 1, 10),
        build(Shape::new(3, 8, 9), 4, 1, 10),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn the_key_is_stable() {
    let key = key(|g, x| g.conv(x, Conv::same(4, 3, 1)));
    // The weights of a child are drawn from the text of its key: a change of this one changes every resumed run.
    assert_eq!(key.to_string(), "18313a7eee8cffae64d70d5dea5d90de");
}

/// Whether two networks are the same, layer by layer: an exact search, against which the keys are judged.
fn isomorphic(left: &[Node], right: &[Node]) -> bool {
    left.len() == right.len()
        && extend(left, right, vec![(left.len() - 1, right.len() - 1), (0, 0)], HashMap::new(), HashMap::new())
}

fn extend(
    left: &[Node],
    right: &[Node],
    mut open: Vec<(usize, usize)>,
    mut to: HashMap<usize, usize>,
    mut from: HashMap<usize, usize>,
) -> bool {
    while let Some((l, r)) = open.pop() {
        match (to.get(&l), from.get(&r)) {
            (Some(&known_r), Some(&known_l)) if (known_l, known_r) == (l, r) => continue,
            (None, None) => {}
            _ => return false,
        }
        let (a, b) = (&left[l], &right[r]);
        if a.kind != b.kind || a.inputs.len() != b.inputs.len() {
            return false;
        }
        to.insert(l, r);
        from.insert(r, l);
        if a.is_sum {
            return orders(&b.inputs).into_iter().any(|order| {
                let open = open.iter().copied().chain(a.inputs.iter().copied().zip(order)).collect();
                extend(left, right, open, to.clone(), from.clone())
            });
        }
        open.extend(a.inputs.iter().copied().zip(b.inputs.iter().copied()));
    }
    to.len() == left.len()
}

fn orders(items: &[usize]) -> BTreeSet<Vec<usize>> {
    if items.is_empty() {
        return BTreeSet::from([Vec::new()]);
    }
    let mut all = BTreeSet::new();
    for first in 0..items.len() {
        let rest: Vec<_> = items.iter().enumerate().filter(|(i, _)| *i != first).map(|(_, item)| *item).collect();
        all.extend(orders(&rest).into_iter().map(|order| [vec![items[first]], order].concat()));
    }
    all
}

#[test]
fn equal_keys_in_nasbench201_are_equal_networks() {
    let space = NasBench201::new(NasBench201Settings { channels: 1, cells: 1, ..Default::default() }).unwrap();
    let mut classes: HashMap<CanonicalKey, Vec<Node>> = HashMap::new();
    for number in 0..15_625_usize {
        let digits: Vec<usize> = (0..6).map(|place| number / 5_usize.pow(place) % 5).collect();
        let graph = space.graph(&Architecture::new(digits), Shape::new(1, 4, 4), 2).unwrap();
        let found = nodes(&graph.pruned());
        let first = classes.entry(graph.canonical()).or_insert_with(|| found.clone());
        assert!(isomorphic(first, &found), "number {number}");
    }
    assert_eq!(classes.len(), 5_425);
}
