//! Cells of blocks (Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018),
//! with the depth and the width of the network as decisions, because time and energy depend on them.
//!
//! A block takes two inputs, applies one operation to each, and adds. Its inputs are numbered: 0 is the output of the
//! cell before the last, 1 that of the last cell, 2 that of the cell's first block, and so on. A cell's output is the
//! concatenation of all its blocks that no other block of it reads. The text names the normal cell, the reduction
//! cell, the number of normal cells in each stage, and the channels of the first stage:
//!
//! ```text
//! text  = "normal" cell " reduce" cell " depth=" number " width=" number
//! cell  = "[" block { ", " block } "]"
//! block = input "." operation "+" input "." operation
//! ```
//!
//! as in `normal[0.sep_conv_3x3+1.skip_connect, 2.conv_1x1+0.max_pool_3x3] reduce[…] depth=2 width=16`. Both cells
//! have as many blocks as the settings say.
//!
//! The network is a stem (3 × 3 convolution, batch norm), three stages of normal cells with a reduction cell before
//! the second and the third, which halves the size and doubles the channels, then ReLU, global pooling and the
//! classifier. Each cell brings its two inputs to its channels by ReLU, 1 × 1 convolution and batch norm, at stride 2
//! on the older one after a reduction. In a reduction cell the operations that read an input of the cell have
//! stride 2. Sizes are rounded up, so any image will do.
//!
//! Every operation but an identity ends a path that drop-path may leave out.

mod cell;

use serde::{Deserialize, Serialize};

use self::cell::{Block, Cell, OPERATIONS, Operation};
use super::blocks::conv_bn;
use super::grammar::Grammar;
use super::settings::{CHANNELS, list, operations, within};
use super::{Architecture, SearchSpace};
use crate::Error;
use crate::graph::{Activation, Conv, Graph, GraphBuilder, Shape};

const NAME: &str = "nasnet";

/// Stages of normal cells.
const STAGES: usize = 3;

/// Decisions of a block: an input and an operation, twice.
const BLOCK_DECISIONS: usize = 4;

/// Settings of [`Nasnet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NasnetSettings {
    /// Blocks of a cell.
    pub blocks: usize,
    /// Names of the operations to choose from, among `none`, `skip_connect`, `conv_1x1`, `conv_3x3`, `conv_5x5`, `conv_7x7`,
    /// `sep_conv_3x3`, `sep_conv_5x5`, `sep_conv_7x7`, `dil_conv_3x3`, `dil_conv_5x5`, `avg_pool_3x3` and `max_pool_3x3`.
    pub operations: Vec<String>,
    /// Choices for the number of normal cells in each stage.
    pub depths: Vec<usize>,
    /// Choices for the channels of the first stage.
    pub widths: Vec<usize>,
}

impl Default for NasnetSettings {
    fn default() -> Self {
        let operations = [
            "skip_connect",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "dil_conv_3x3",
            "avg_pool_3x3",
            "max_pool_3x3",
            "conv_1x1",
            "conv_3x3",
        ];
        Self {
            blocks: 5,
            operations: operations.map(str::to_owned).to_vec(),
            depths: vec![1, 2, 3],
            widths: vec![8, 16, 24, 32],
        }
    }
}

/// The space of normal and reduction cells; see the [module](self) for its texts and its network.
#[derive(Debug, Clone)]
pub struct Nasnet {
    blocks: usize,
    operations: Vec<Operation>,
    depths: Vec<usize>,
    widths: Vec<usize>,
    grammar: Grammar,
}

impl Nasnet {
    /// The space with these settings.
    ///
    /// # Errors
    /// If an operation is unknown, a list is empty or names something twice, or a number is 0 or absurdly large.
    pub fn new(settings: NasnetSettings) -> Result<Self, Error> {
        let NasnetSettings { blocks, operations: names, depths, widths } = settings;
        within("blocks", blocks, 1..=20)?;
        list("depths", &depths, 1..=100)?;
        list("widths", &widths, CHANNELS)?;
        let operations = operations(NAME, &names, &OPERATIONS)?;
        let mut grammar = Grammar::new(NAME);
        for (cell, opening) in [("normal", "normal["), ("reduce", " reduce[")] {
            grammar.text(opening);
            for block in 1..=blocks {
                if block > 1 {
                    grammar.text(", ");
                }
                for (side, between) in [("left", "+"), ("right", "")] {
                    let inputs = (0..=block).map(|input| input.to_string());
                    grammar.decision(format!("{cell} block {block} {side} input"), inputs);
                    grammar.text(".");
                    grammar.decision(format!("{cell} block {block} {side} operation"), &names);
                    grammar.text(between);
                }
            }
            grammar.text("]");
        }
        grammar.text(" depth=");
        grammar.decision("depth", depths.iter().map(usize::to_string));
        grammar.text(" width=");
        grammar.decision("width", widths.iter().map(usize::to_string));
        Ok(Self { blocks, operations, depths, widths, grammar })
    }

    /// The blocks of one cell from their choices.
    fn blocks(&self, choices: &[usize]) -> Vec<Block> {
        let path = |choices: &[usize]| (choices[0], self.operations[choices[1]]);
        choices.chunks_exact(BLOCK_DECISIONS).map(|block| [path(&block[..2]), path(&block[2..])]).collect()
    }
}

impl SearchSpace for Nasnet {
    fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    fn graph(&self, architecture: &Architecture, input: Shape, classes: usize) -> Result<Graph, Error> {
        self.check(architecture)?;
        let (normal, rest) = architecture.choices().split_at(BLOCK_DECISIONS * self.blocks);
        let (reduce, rest) = rest.split_at(BLOCK_DECISIONS * self.blocks);
        let (depth, width) = (self.depths[rest[0]], self.widths[rest[1]]);
        let (normal, reduce) = (self.blocks(normal), self.blocks(reduce));

        let (mut graph, image) = GraphBuilder::new(input)?;
        let stem = conv_bn(&mut graph, image, Conv::same(width, 3, 1))?;
        let mut last_two = (stem, stem);
        for stage in 0..STAGES {
            let channels = width << stage;
            let reduction = (stage > 0).then_some(Cell { blocks: &reduce, channels, stride: 2 });
            let cells = std::iter::repeat_n(Cell { blocks: &normal, channels, stride: 1 }, depth);
            for cell in reduction.into_iter().chain(cells) {
                let output = cell.append(&mut graph, last_two)?;
                last_two = (last_two.1, output);
            }
        }
        let x = graph.activation(last_two.1, Activation::Relu)?;
        graph.classifier(x, classes)
    }
}

#[cfg(test)]
mod tests;
