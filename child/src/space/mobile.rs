//! Inverted bottlenecks with squeeze-and-excitation (Sandler et al., "MobileNetV2", CVPR 2018; Howard et al.,
//! "Searching for MobileNetV3", ICCV 2019), chosen stage by stage as in MnasNet (Tan et al., CVPR 2019) and
//! ProxylessNAS (Cai et al., ICLR 2019).
//!
//! The text gives the channels of the stem, and for each stage its kernel, expansion, depth (number of blocks, at
//! least one), width (channels) and whether it has squeeze-and-excitation:
//!
//! ```text
//! text  = "stem=" number { " " stage }
//! stage = "k" number "e" number "d" number "w" number "s" ( "0" | "1" )
//! ```
//!
//! as in `stem=16 k3e6d2w24s0 k5e3d1w32s1`.
//!
//! The network is a stem (3 × 3 convolution), the stages, a 1 × 1 convolution to the head's channels, global pooling
//! and the classifier; every convolution but the two of squeeze-and-excitation is followed by batch norm, and of these
//! all but a block's last by ReLU6. The first block of a stage has the stage's stride. A block is a 1 × 1 convolution to `expansion` times its input's channels
//! (left out for an expansion of 1), a depthwise convolution, squeeze-and-excitation, and a 1 × 1 convolution to the
//! stage's channels. A block whose output has its input's shape adds that input, and drop-path may then leave out the
//! rest. Sizes are rounded up, so any image will do.

use serde::{Deserialize, Serialize};

use super::blocks::conv_bn;
use super::grammar::Grammar;
use super::settings::{CHANNELS, list, unique, within};
use super::{Architecture, SearchSpace};
use crate::Error;
use crate::graph::{Activation, Conv, Graph, GraphBuilder, LayerId, Op, Shape};

/// Squeeze-and-excitation narrows to this part of the channels (MobileNetV3) …
const SQUEEZE: usize = 4;
/// … rounded to a multiple of this.
const SQUEEZE_MULTIPLE: usize = 8;

/// Settings of [`Mobile`]; by default for images of about 32 × 32.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileSettings {
    /// Choices for the channels of the stem.
    pub stems: Vec<usize>,
    /// Stride of each stage's first block; their number is the number of stages.
    pub strides: Vec<usize>,
    /// For each stage, the choices for its channels.
    pub widths: Vec<Vec<usize>>,
    /// Choices for the side of the depthwise kernel, all odd.
    pub kernels: Vec<usize>,
    /// Choices for the factor by which a block widens.
    pub expansions: Vec<usize>,
    /// Choices for the number of blocks of a stage.
    pub depths: Vec<usize>,
    /// Choices for whether a stage has squeeze-and-excitation.
    pub squeeze_excitation: Vec<bool>,
    /// Channels of the last convolution.
    pub head: usize,
}

impl Default for MobileSettings {
    fn default() -> Self {
        Self {
            stems: vec![16, 24],
            strides: vec![1, 2, 2, 2],
            widths: vec![vec![16, 24], vec![24, 32], vec![32, 48, 64], vec![64, 96]],
            kernels: vec![3, 5, 7],
            expansions: vec![3, 6],
            depths: vec![1, 2, 3, 4],
            squeeze_excitation: vec![false, true],
            head: 256,
        }
    }
}

impl MobileSettings {
    fn check(&self) -> Result<(), Error> {
        list("stems", &self.stems, CHANNELS)?;
        list("kernels", &self.kernels, 1..=31)?;
        list("expansions", &self.expansions, 1..=32)?;
        list("depths", &self.depths, 1..=100)?;
        unique("squeeze_excitation", &self.squeeze_excitation)?;
        within("head", self.head, CHANNELS)?;
        if let Some(even) = self.kernels.iter().find(|kernel| **kernel % 2 == 0) {
            return Err(Error(format!("`kernels`: a kernel of side {even} has no middle: give odd sides")));
        }
        if self.strides.is_empty() {
            return Err(Error("`strides` is empty: give at least one choice".to_owned()));
        }
        self.strides.iter().try_for_each(|stride| within("strides", *stride, 1..=4))?;
        if self.strides.len() != self.widths.len() {
            let (strides, widths) = (self.strides.len(), self.widths.len());
            return Err(Error(format!(
                "`widths`: there are lists for {widths} stages, but `strides` has {strides}: give one for each stage"
            )));
        }
        self.widths.iter().try_for_each(|widths| list("widths", widths, CHANNELS))
    }
}

/// The space of inverted bottlenecks; see the [module](self) for its texts and its network.
#[derive(Debug, Clone)]
pub struct Mobile {
    settings: MobileSettings,
    grammar: Grammar,
}

/// The choices of one architecture for a stage.
struct Stage {
    kernel: usize,
    expansion: usize,
    depth: usize,
    channels: usize,
    squeeze_excitation: bool,
}

impl Mobile {
    /// The space with these settings.
    ///
    /// # Errors
    /// If a list is empty or names something twice, a number is 0, even where it must be odd, or absurdly large, or
    /// strides and widths are for another number of stages.
    pub fn new(settings: MobileSettings) -> Result<Self, Error> {
        settings.check()?;
        let names = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>();
        let squeeze: Vec<_> = settings.squeeze_excitation.iter().map(|yes| usize::from(*yes)).collect();
        let mut grammar = Grammar::new("mobile");
        grammar.text("stem=");
        grammar.decision("stem", names(&settings.stems));
        for (before, widths) in settings.widths.iter().enumerate() {
            grammar.text(" ");
            for (letter, name, choices) in [
                ("k", "kernel", &settings.kernels),
                ("e", "expansion", &settings.expansions),
                ("d", "depth", &settings.depths),
                ("w", "width", widths),
                ("s", "squeeze-excitation", &squeeze),
            ] {
                grammar.text(letter);
                grammar.decision(format!("stage {} {name}", before + 1), names(choices));
            }
        }
        Ok(Self { settings, grammar })
    }

    /// The stages that an architecture's choices after the stem's mean.
    fn stages(&self, choices: &[usize]) -> Vec<Stage> {
        let settings = &self.settings;
        let stages = choices.chunks_exact(5).zip(&settings.widths);
        stages
            .map(|(choices, widths)| Stage {
                kernel: settings.kernels[choices[0]],
                expansion: settings.expansions[choices[1]],
                depth: settings.depths[choices[2]],
                channels: widths[choices[3]],
                squeeze_excitation: settings.squeeze_excitation[choices[4]],
            })
            .collect()
    }
}

impl Stage {
    fn block(&self, graph: &mut GraphBuilder, input: LayerId, stride: usize) -> Result<LayerId, Error> {
        let wide = self.expansion * graph.shape(input).channels;
        let mut x = input;
        if self.expansion > 1 {
            x = conv_bn_relu6(graph, x, Conv::same(wide, 1, 1))?;
        }
        x = conv_bn_relu6(graph, x, Conv::depthwise(wide, self.kernel, stride, 1))?;
        if self.squeeze_excitation {
            x = squeeze_excitation(graph, x)?;
        }
        x = conv_bn(graph, x, Conv::same(self.channels, 1, 1))?;
        if stride == 1 && graph.shape(x) == graph.shape(input) {
            graph.mark_droppable(x);
            x = graph.add(&[input, x])?;
        }
        Ok(x)
    }
}

fn conv_bn_relu6(graph: &mut GraphBuilder, input: LayerId, conv: Conv) -> Result<LayerId, Error> {
    let x = conv_bn(graph, input, conv)?;
    graph.activation(x, Activation::Relu6)
}

/// Scales each channel by a number made of all channels' means (Hu et al., "Squeeze-and-Excitation Networks", CVPR
/// 2018; with the hard sigmoid of MobileNetV3).
fn squeeze_excitation(graph: &mut GraphBuilder, input: LayerId) -> Result<LayerId, Error> {
    let channels = graph.shape(input).channels;
    let narrow = (channels / SQUEEZE).next_multiple_of(SQUEEZE_MULTIPLE).max(SQUEEZE_MULTIPLE);
    let x = graph.push(Op::GlobalAveragePool, &[input])?;
    let x = graph.conv(x, Conv { bias: true, ..Conv::same(narrow, 1, 1) })?;
    let x = graph.activation(x, Activation::Relu)?;
    let x = graph.conv(x, Conv { bias: true, ..Conv::same(channels, 1, 1) })?;
    let x = graph.activation(x, Activation::HardSigmoid)?;
    graph.push(Op::Scale, &[input, x])
}

impl SearchSpace for Mobile {
    fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error> {
        self.check(architecture)?;
        let choices = architecture.choices();
        let (mut graph, image) = GraphBuilder::new(input)?;
        let mut x = conv_bn_relu6(&mut graph, image, Conv::same(self.settings.stems[choices[0]], 3, 1))?;
        for (stage, stride) in self.stages(&choices[1..]).iter().zip(&self.settings.strides) {
            for block in 0..stage.depth {
                x = stage.block(&mut graph, x, if block == 0 { *stride } else { 1 })?;
            }
        }
        let x = conv_bn_relu6(&mut graph, x, Conv::same(self.settings.head, 1, 1))?;
        graph.classifier(x, classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Mobile {
        let settings = MobileSettings {
            stems: vec![8, 16],
            strides: vec![1, 2],
            widths: vec![vec![16, 24], vec![24, 32]],
            kernels: vec![3, 5],
            expansions: vec![1, 6],
            depths: vec![1, 2],
            squeeze_excitation: vec![false, true],
            head: 64,
        };
        Mobile::new(settings).unwrap()
    }

    fn graph(text: &str, input: Shape) -> Graph {
        let space = space();
        space.graph(&space.parse(text).unwrap(), input, 10).unwrap()
    }

    fn count(graph: &Graph, is_wanted: impl Fn(&Op) -> bool) -> usize {
        graph.layers.iter().filter(|layer| is_wanted(&layer.op)).count()
    }

    #[test]
    fn text_names_the_decisions_in_order() {
        let text = "stem=16 k3e6d2w24s0 k5e1d1w32s1";
        let architecture = space().parse(text).unwrap();
        assert_eq!(architecture.choices(), [1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1]);
        assert_eq!(space().format(&architecture).unwrap(), text);
        assert_eq!(space().decisions()[5].name, "stage 1 squeeze-excitation");
    }

    #[test]
    fn errors_point_at_their_place() {
        for (text, column, message) in [
            ("stem=", 6, "the text ends where stem should follow (one of: 8, 16)"),
            ("stem=17 k3", 6, "`17` is not a choice of stem"),
            ("stem=8k3", 6, "`8k3` is not a choice of stem"),
            ("stem=8 k4e1", 9, "`4` is not a choice of stage 1 kernel (one of: 3, 5)"),
            ("stem=8 k3x1", 9, "`3x1` is not a choice"),
            ("stem=8 k3e1d0", 13, "`0` is not a choice of stage 1 depth"),
            ("stem=8 k3e1d1w16s0", 19, "the text ends where ` k` should follow"),
            ("stem=8 k3e1d1w16s0 k3e1d1w24s2", 30, "`2` is not a choice of stage 2 squeeze-excitation"),
            ("stem=8 k3e1d1w16s0 k3e1d1w24s1 ", 31, "nothing may follow"),
        ] {
            let error = space().parse(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error}");
            assert_eq!(error.column, column, "{text}: {error}");
        }
    }

    #[test]
    fn blocks_with_an_equal_input_add_it() {
        let image = Shape::new(3, 32, 32);
        // Blocks 16→16, 16→16 and 16→32 at stride 2: the first two are residual.
        let with = graph("stem=16 k3e6d2w16s0 k5e6d1w32s0", image);
        assert_eq!(count(&with, |op| *op == Op::Add), 2);
        assert_eq!(with.layers.iter().filter(|layer| layer.droppable).count(), 2);
        let without = graph("stem=16 k3e6d1w24s0 k5e6d1w24s0", image);
        assert_eq!(count(&without, |op| *op == Op::Add), 0);
        assert!(without.layers.iter().all(|layer| !layer.droppable));
    }

    #[test]
    fn cost_by_hand() {
        // Expansion 1: no widening convolution.
        let cost = graph("stem=8 k3e1d1w16s0 k5e6d1w24s0", Shape::new(3, 32, 32)).cost();
        let first = 1024 * (9 * 8 + 8 * 16);
        let second = 1024 * 16 * 96 + 256 * (25 * 96 + 96 * 24);
        assert_eq!(cost.macs, 1024 * 27 * 8 + first + second + 256 * 24 * 64 + 65 * 10);
        assert_eq!(cost.depth, 1 + 2 + 3 + 1 + 1);
    }

    #[test]
    fn squeeze_and_excitation_narrows_and_scales() {
        let graph = graph("stem=16 k3e6d1w16s1 k3e1d1w24s0", Shape::new(3, 8, 8));
        let scale = graph.layers.iter().find(|layer| layer.op == Op::Scale).unwrap();
        assert_eq!(scale.shape, Shape::new(96, 8, 8));
        assert_eq!(graph.layer(scale.inputs[1]).op, Op::Activation(Activation::HardSigmoid));
        let narrow = graph.layers.iter().find(|layer| matches!(layer.op, Op::Conv(conv) if conv.bias)).unwrap();
        assert_eq!(narrow.shape, Shape::new(24, 1, 1));
    }
}
