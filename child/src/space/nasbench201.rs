//! NAS-Bench-201 (Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
//! ICLR 2020), also known as the topology search space of NATS-Bench.
//!
//! A cell has four nodes; node 0 is its input, node 3 its output, and every node is the sum of one operation on each
//! node before it. The text is the benchmark's own:
//!
//! ```text
//! |op~0|+|op~0|op~1|+|op~0|op~1|op~2|
//! ```
//!
//! where each `op` is `none`, `skip_connect`, `nor_conv_1x1`, `nor_conv_3x3` or `avg_pool_3x3`, and the number is the
//! node that it reads. The network is the benchmark's too: a stem, three stages of cells with a residual block of
//! stride 2 before the second and the third, batch norm, ReLU, global pooling and the classifier.
//!
//! Of the 15,625 texts, 341 have no path from input to output. The benchmark distinguishes 6,466 classes of cells,
//! [`Graph::canonical`] 5,425 networks. Neither is finer than the other: zeros and the order of sums make several
//! classes of one network, and 644 classes hold more than one network, because the benchmark expands shared nodes.

use serde::{Deserialize, Serialize};

use super::blocks::{conv_bn, relu_conv_bn};
use super::grammar::Grammar;
use super::settings::{CHANNELS, operations, within};
use super::{Architecture, SearchSpace};
use crate::Error;
use crate::graph::{Activation, Conv, Graph, GraphBuilder, LayerId, Op, Pool, PoolKind, Shape};

const NAME: &str = "nasbench201";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    None,
    SkipConnect,
    Conv { kernel: usize },
    AveragePool,
}

/// The benchmark's operations, in its order.
const OPERATIONS: [(&str, Operation); 5] = [
    ("none", Operation::None),
    ("skip_connect", Operation::SkipConnect),
    ("nor_conv_1x1", Operation::Conv { kernel: 1 }),
    ("nor_conv_3x3", Operation::Conv { kernel: 3 }),
    ("avg_pool_3x3", Operation::AveragePool),
];

/// The nodes that each node but the first reads, in the order of the text.
const NODES: [&[usize]; 3] = [&[0], &[0, 1], &[0, 1, 2]];

/// Settings of [`NasBench201`]; by default the benchmark's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NasBench201Settings {
    /// Channels of the first stage; the next two have twice and four times as many. 16 in the benchmark.
    pub channels: usize,
    /// Cells of each stage. 5 in the benchmark.
    pub cells: usize,
    /// Names of the operations that an edge may take, in the order of the choices.
    pub operations: Vec<String>,
}

impl Default for NasBench201Settings {
    fn default() -> Self {
        Self { channels: 16, cells: 5, operations: OPERATIONS.map(|(name, _)| name.to_owned()).to_vec() }
    }
}

/// The NAS-Bench-201 space; see the [module](self) for its texts and its network.
#[derive(Debug, Clone)]
pub struct NasBench201 {
    channels: usize,
    cells: usize,
    operations: Vec<Operation>,
    grammar: Grammar,
}

impl NasBench201 {
    /// The space with these settings.
    ///
    /// # Errors
    /// If an operation is unknown or named twice or there is none, or a number is 0 or absurdly large.
    pub fn new(settings: NasBench201Settings) -> Result<Self, Error> {
        let NasBench201Settings { channels, cells, operations: names } = settings;
        within("channels", channels, CHANNELS)?;
        within("cells", cells, 1..=100)?;
        let operations = operations(NAME, &names, &OPERATIONS)?;
        let mut grammar = Grammar::new(NAME);
        for (before, sources) in NODES.iter().enumerate() {
            grammar.text(if before == 0 { "|" } else { "+|" });
            for source in *sources {
                grammar.decision(format!("edge {source}→{}", before + 1), &names);
                grammar.text(&format!("~{source}|"));
            }
        }
        Ok(Self { channels, cells, operations, grammar })
    }

    fn cell(&self, graph: &mut GraphBuilder, chosen: &[Operation], input: LayerId) -> Result<LayerId, Error> {
        let channels = graph.shape(input).channels;
        let mut chosen = chosen.iter();
        let mut nodes = vec![input];
        for sources in NODES {
            let mut edges = Vec::with_capacity(sources.len());
            for (source, operation) in sources.iter().zip(&mut chosen) {
                let from = nodes[*source];
                edges.push(match *operation {
                    Operation::None => graph.push(Op::Zero { stride: 1 }, &[from])?,
                    Operation::SkipConnect => from,
                    Operation::Conv { kernel } => relu_conv_bn(graph, from, Conv::same(channels, kernel, 1))?,
                    Operation::AveragePool => {
                        graph.pool(from, Pool { kind: PoolKind::Average, kernel: 3, stride: 1, padding: 1 })?
                    }
                });
            }
            nodes.push(graph.add(&edges)?);
        }
        Ok(nodes[NODES.len()])
    }
}

/// The block that halves the size and brings the channels to `channels`: the benchmark's `ResNetBasicblock`.
fn residual_block(graph: &mut GraphBuilder, input: LayerId, channels: usize) -> Result<LayerId, Error> {
    let x = relu_conv_bn(graph, input, Conv::same(channels, 3, 2))?;
    let x = relu_conv_bn(graph, x, Conv::same(channels, 3, 1))?;
    let shortcut = graph.pool(input, Pool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 })?;
    let shortcut = graph.conv(shortcut, Conv::same(channels, 1, 1))?;
    graph.add(&[shortcut, x])
}

impl SearchSpace for NasBench201 {
    fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// The image's sides must be divisible by 4: convolutions of stride 2 round an odd side up, and the pools of the
    /// shortcuts beside them round it down.
    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error> {
        self.check(architecture)?;
        let chosen: Vec<_> = architecture.choices().iter().map(|choice| self.operations[*choice]).collect();
        let (mut graph, image) = GraphBuilder::new(input)?;
        let Shape { height, width, .. } = input;
        if let Some(side) = [width, height].into_iter().find(|side| !side.is_multiple_of(4)) {
            let remedy = match side / 4 * 4 {
                0 => "4".to_owned(),
                below => format!("{below} or {}", below.saturating_add(4)),
            };
            let reason = format!("{NAME} needs sides that 4 divides; set data.size (or input.shape) to {remedy}");
            return Err(Error::new(format_args!("images of {width}x{height}"), reason));
        }
        let mut x = conv_bn(&mut graph, image, Conv::same(self.channels, 3, 1))?;
        for stage in 0..3 {
            if stage > 0 {
                x = residual_block(&mut graph, x, self.channels << stage)?;
            }
            for _ in 0..self.cells {
                x = self.cell(&mut graph, &chosen, x)?;
            }
        }
        let x = graph.batch_norm(x)?;
        let x = graph.activation(x, Activation::Relu)?;
        graph.classifier(x, classes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::graph::CanonicalKey;

    const CIFAR: Shape = Shape::new(3, 32, 32);

    fn benchmark() -> NasBench201 {
        NasBench201::new(NasBench201Settings::default()).unwrap()
    }

    /// The benchmark's own name for all cells that it takes for the same: `to_unique_str(consider_zero=True)` of its
    /// published code. It follows `none` and `skip_connect`, but keeps zeros as summands (`#+#` is not `#`), expands
    /// shared nodes, and does not order the summands that a skip connection brings along.
    fn benchmark_class(architecture: &Architecture) -> String {
        let mut chosen = architecture.choices().iter().map(|choice| OPERATIONS[*choice]);
        let mut nodes = vec!["0".to_owned()];
        for sources in NODES {
            let mut edges: Vec<String> = sources
                .iter()
                .zip(&mut chosen)
                .map(|(source, (name, operation))| match (operation, nodes[*source].as_str()) {
                    (Operation::None, _) | (_, "#") => "#".to_owned(),
                    (Operation::SkipConnect, from) => from.to_owned(),
                    (_, from) => format!("({from})@{name}"),
                })
                .collect();
            edges.sort_unstable();
            nodes.push(edges.join("+"));
        }
        nodes.swap_remove(NODES.len())
    }

    fn all() -> impl Iterator<Item = Architecture> {
        (0..15_625_usize)
            .map(|number| Architecture::new((0..6).map(|place| number / 5_usize.pow(place) % 5).collect::<Vec<_>>()))
    }

    #[test]
    fn every_text_reads_back() {
        let space = benchmark();
        assert_eq!(space.size(), 15_625);
        for architecture in all() {
            let text = space.format(&architecture).unwrap();
            assert_eq!(space.parse(&text), Ok(architecture));
        }
    }

    #[test]
    fn the_text_is_that_of_the_benchmark() {
        let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|";
        let architecture = benchmark().parse(text).unwrap();
        assert_eq!(architecture.choices(), [3, 3, 4, 1, 3, 0]);
        assert_eq!(benchmark().format(&architecture).unwrap(), text);
        assert_eq!(benchmark().decisions()[4].name, "edge 1→3");
    }

    #[test]
    fn errors_point_at_their_place() {
        let good = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
        for (text, column, message) in [
            ("none~0|", 1, "expected `|`"),
            ("|nor_conv_3x4~0|", 2, "did you mean `nor_conv_3x3`?"),
            ("|~0|", 2, "expected edge 0→1 (one of: none,"),
            ("|none~1|", 7, "expected `0|+|`"),
            ("|none~0|+|none~0|none~0|", 23, "expected `1|+|`"),
            ("|none~0|+|né~0|", 11, "`n` is not a choice of edge 0→2"),
            ("|none~0|", 9, "the text ends where `+|` should follow"),
            ("|none~0|+|", 11, "the text ends where edge 0→2 should follow"),
            (&format!("{good}|"), 48, "nothing may follow"),
            (&format!("{good} "), 48, "nothing may follow"),
            (&format!(" {good}"), 1, "expected `|`"),
        ] {
            let error = benchmark().parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(message), "{text}: {error}");
        }
    }

    /// Costs as the benchmark's data file gives them: the second is quoted in NASLib's
    /// `tests/test_nb201_search_space.py`, the least and the most on each of the three data sets in mo_hyperband's
    /// README ("Get Bounds for Nasbench benchmarks").
    #[test]
    fn costs_equal_the_published_ones() {
        let space = benchmark();
        let none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
        let most = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";
        let image_net_16 = Shape::new(3, 16, 16);
        for (text, input, classes, macs, parameters) in [
            (
                "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
                CIFAR,
                10,
                113_951_370,
                802_426,
            ),
            (
                "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
                CIFAR,
                10,
                15_647_370,
                129_306,
            ),
            (
                "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
                CIFAR,
                10,
                153_272_970,
                1_073_466,
            ),
            (none, CIFAR, 10, 7_783_050, 73_306),
            (most, CIFAR, 10, 220_119_690, 1_531_546),
            (none, CIFAR, 100, 7_788_900, 79_156),
            (most, CIFAR, 100, 220_125_540, 1_537_396),
            (none, image_net_16, 120, 1_953_400, 80_456),
            (most, image_net_16, 120, 55_037_560, 1_538_696),
        ] {
            let cost = space.graph(&space.parse(text).unwrap(), input, classes).unwrap().cost();
            assert_eq!((cost.macs, cost.parameters), (macs, parameters), "{text}");
        }
    }

    #[test]
    fn depth_counts_the_longest_path() {
        let space = benchmark();
        let depth = |text: &str| space.graph(&space.parse(text).unwrap(), CIFAR, 10).unwrap().cost().depth;
        // Stem, two convolutions in each of two residual blocks, classifier; three a cell at most.
        assert_eq!(depth("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"), 6);
        assert_eq!(depth("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|"), 6 + 3 * 15);
    }

    #[test]
    fn classes_equal_those_of_the_benchmark() {
        let space = benchmark();
        let class = |text: &str| benchmark_class(&space.parse(text).unwrap());
        assert_eq!(class("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), "#+#+#");
        assert_eq!(
            class("|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"),
            "#+(#+(0)@nor_conv_1x1)@avg_pool_3x3+0"
        );
        let classes: HashSet<_> = all().map(|architecture| benchmark_class(&architecture)).collect();
        assert_eq!(classes.len(), 6_466);
    }

    #[test]
    fn equal_keys_have_equal_costs_and_connection() {
        let space = NasBench201::new(NasBench201Settings { channels: 1, cells: 1, ..Default::default() }).unwrap();
        let mut disconnected = HashSet::new();
        let mut number_disconnected = 0;
        let mut costs: HashMap<CanonicalKey, _> = HashMap::new();
        let mut keys_of_class: HashMap<String, HashSet<CanonicalKey>> = HashMap::new();
        for architecture in all() {
            let graph = space.graph(&architecture, Shape::new(1, 4, 4), 2).unwrap();
            let key = graph.canonical();
            keys_of_class.entry(benchmark_class(&architecture)).or_default().insert(key);
            // The order of summands may change the peak of memory, but not the work.
            let cost = graph.pruned().cost();
            let work = (cost.macs, cost.parameters, cost.depth, graph.is_connected());
            assert_eq!(*costs.entry(key).or_insert(work), work);
            if !graph.is_connected() {
                number_disconnected += 1;
                disconnected.insert(key);
            }
        }
        assert_eq!((number_disconnected, disconnected.len()), (341, 1));
        assert_eq!(costs.len(), 5_425);
        let split = keys_of_class.values().filter(|keys| keys.len() > 1).count();
        assert_eq!(split, 644);
    }

    #[test]
    fn the_operations_can_be_restricted() {
        let operations = ["nor_conv_3x3", "skip_connect"].map(str::to_owned).to_vec();
        let space = NasBench201::new(NasBench201Settings { operations, ..Default::default() }).unwrap();
        assert_eq!(space.size(), 64);
        let text = space.format(&Architecture::new([0, 1, 0, 1, 0, 1])).unwrap();
        assert!(text.starts_with("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|"));
        assert!(space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").is_err());
    }

    #[test]
    fn image_sides_that_4_does_not_divide_are_errors_with_a_remedy() {
        let graph = |width, height| benchmark().graph(&Architecture::new([1; 6]), Shape::new(3, height, width), 10);
        for side in 1..=40 {
            assert_eq!(graph(side, 32).is_ok(), side % 4 == 0, "{side}");
            assert_eq!(graph(32, side).is_ok(), side % 4 == 0, "{side}");
        }
        let expected =
            "images of 32x30: nasbench201 needs sides that 4 divides; set data.size (or input.shape) to 28 or 32";
        assert_eq!(graph(32, 30).unwrap_err().to_string(), expected);
        assert!(graph(3, 3).unwrap_err().to_string().ends_with("to 4"));
    }
}
