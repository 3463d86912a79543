//! Building a graph layer by layer, with each layer's shape inferred and checked.

use super::{Activation, Conv, Graph, Layer, LayerId, Op, Pool, Shape};
use crate::Error;

/// Builds a [`Graph`]: every method appends one layer and returns its id, or an error where the shapes of the inputs do
/// not fit the layer.
///
/// ```
/// use child::graph::{Activation, Conv, GraphBuilder, Shape};
///
/// let (mut graph, image) = GraphBuilder::new(Shape::new(3, 32, 32))?;
/// let x = graph.conv(image, Conv::same(16, 3, 1))?;
/// let x = graph.batch_norm(x)?;
/// let x = graph.activation(x, Activation::Relu)?;
/// let graph = graph.classifier(x, 10)?;
/// assert_eq!(graph.classes(), 10);
/// # Ok::<(), child::Error>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    layers: Vec<Layer>,
}

impl GraphBuilder {
    /// A graph that holds only its input, and the input's id.
    ///
    /// # Errors
    /// If one of the input's sides is 0.
    pub fn new(input: Shape) -> Result<(Self, LayerId), Error> {
        if input.elements() == 0 {
            return Err(Error(format!("layer 0 (input): the shape {input} has no elements")));
        }
        let layers = vec![Layer { op: Op::Input, inputs: Vec::new(), shape: input, droppable: false }];
        Ok((Self { layers }, LayerId(0)))
    }

    /// Shape of a layer's output.
    ///
    /// # Panics
    /// If the id of another builder lies beyond the layers of this one; so do all methods that take ids.
    pub fn shape(&self, id: LayerId) -> Shape {
        self.layers[id.0].shape
    }

    /// Appends any operation.
    pub fn push(&mut self, op: Op, inputs: &[LayerId]) -> Result<LayerId, Error> {
        let shapes: Vec<_> = inputs.iter().map(|id| self.shape(*id)).collect();
        let shape = infer(self.layers.len(), op, &shapes)?;
        self.layers.push(Layer { op, inputs: inputs.to_vec(), shape, droppable: false });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// Appends a convolution.
    pub fn conv(&mut self, input: LayerId, conv: Conv) -> Result<LayerId, Error> {
        self.push(Op::Conv(conv), &[input])
    }

    /// Appends a batch normalisation.
    pub fn batch_norm(&mut self, input: LayerId) -> Result<LayerId, Error> {
        self.push(Op::BatchNorm, &[input])
    }

    /// Appends a non-linearity.
    pub fn activation(&mut self, input: LayerId, activation: Activation) -> Result<LayerId, Error> {
        self.push(Op::Activation(activation), &[input])
    }

    /// Appends a pooling.
    pub fn pool(&mut self, input: LayerId, pool: Pool) -> Result<LayerId, Error> {
        self.push(Op::Pool(pool), &[input])
    }

    /// Appends the sum of one or more layers; of a single one, gives that one back.
    pub fn add(&mut self, inputs: &[LayerId]) -> Result<LayerId, Error> {
        match inputs {
            [single] => Ok(*single),
            _ => self.push(Op::Add, inputs),
        }
    }

    /// Appends the concatenation of one or more layers along their channels; of a single one, gives that one back.
    pub fn concat(&mut self, inputs: &[LayerId]) -> Result<LayerId, Error> {
        match inputs {
            [single] => Ok(*single),
            _ => self.push(Op::Concat, inputs),
        }
    }

    /// Lets drop-path leave out the path that ends at this layer.
    pub fn mark_droppable(&mut self, id: LayerId) {
        self.layers[id.0].droppable = true;
    }

    /// Ends the graph with global average pooling and a linear classifier.
    ///
    /// # Errors
    /// If the number of classes is 0.
    pub fn classifier(mut self, input: LayerId, classes: usize) -> Result<Graph, Error> {
        let pooled = self.push(Op::GlobalAveragePool, &[input])?;
        self.push(Op::Linear { outputs: classes }, &[pooled])?;
        Ok(Graph { layers: self.layers })
    }
}

/// Shape that an operation gives for the shapes of its inputs.
fn infer(layer: usize, op: Op, inputs: &[Shape]) -> Result<Shape, Error> {
    let layer = format!("layer {layer} ({})", op.name());
    let setting = |reason: &str| Error::new(&layer, reason);
    let misfit =
        |shape: Shape, reason: &str| Error::new(format_args!("{layer} cannot take an input of shape {shape}"), reason);
    let (&first, rest) = inputs.split_first().ok_or_else(|| setting("it has no input"))?;
    let expected_inputs = match op {
        Op::Add | Op::Concat => inputs.len(),
        Op::Scale => 2,
        _ => 1,
    };
    if inputs.len() != expected_inputs {
        return Err(setting(&format!("it takes {expected_inputs} inputs, not {}", inputs.len())));
    }
    let windows = |channels, kernel: usize, stride: usize, padding: usize| {
        if kernel == 0 || stride == 0 || channels == 0 {
            return Err(setting("channels, kernel and stride must be at least 1"));
        }
        let side = |size: usize| (size + 2 * padding).checked_sub(kernel).map(|room| room / stride + 1);
        match (side(first.height), side(first.width)) {
            (Some(height), Some(width)) => Ok(Shape::new(channels, height, width)),
            _ => Err(misfit(first, &format!("the kernel spans {kernel} places, more than there are with padding"))),
        }
    };
    match op {
        Op::Input => Err(setting("a graph has one input, which the builder makes")),
        Op::Conv(conv) => {
            if conv.groups == 0 || conv.kernel == 0 || conv.dilation == 0 {
                return Err(setting("groups, kernel and dilation must be at least 1"));
            }
            if first.channels % conv.groups != 0 || conv.channels % conv.groups != 0 {
                let reason = format!("{} groups do not divide its channels and the output's", conv.groups);
                return Err(misfit(first, &reason));
            }
            windows(conv.channels, conv.dilation * (conv.kernel - 1) + 1, conv.stride, conv.padding)
        }
        Op::Pool(pool) => {
            if 2 * pool.padding > pool.kernel {
                return Err(setting("the padding must be at most half the kernel"));
            }
            windows(first.channels, pool.kernel, pool.stride, pool.padding)
        }
        Op::Zero { stride: 0 } => Err(setting("the stride must be at least 1")),
        Op::Zero { stride } => {
            Ok(Shape::new(first.channels, first.height.div_ceil(stride), first.width.div_ceil(stride)))
        }
        Op::BatchNorm | Op::Activation(_) => Ok(first),
        Op::GlobalAveragePool => Ok(Shape::new(first.channels, 1, 1)),
        Op::Add => match rest.iter().find(|shape| **shape != first) {
            None => Ok(first),
            Some(&other) => Err(misfit(other, &format!("the first input is {first}"))),
        },
        Op::Concat => {
            let same_size = |shape: &&Shape| (shape.height, shape.width) == (first.height, first.width);
            match rest.iter().find(|shape| !same_size(shape)) {
                None => Ok(Shape::new(inputs.iter().map(|s| s.channels).sum(), first.height, first.width)),
                Some(&other) => Err(misfit(other, &format!("the first input is {first}"))),
            }
        }
        Op::Scale if rest[0] == Shape::new(first.channels, 1, 1) => Ok(first),
        Op::Scale => Err(misfit(rest[0], &format!("the first input has {} channels", first.channels))),
        Op::Linear { outputs: 0 } => Err(setting("it needs at least one output")),
        Op::Linear { .. } if (first.height, first.width) != (1, 1) => {
            Err(misfit(first, "it must be pooled to one place first"))
        }
        Op::Linear { outputs } => Ok(Shape::new(outputs, 1, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::PoolKind;

    const IMAGE: Shape = Shape::new(4, 9, 8);

    /// Shape of one operation on [`IMAGE`].
    fn of(op: Op) -> Result<Shape, Error> {
        infer(1, op, &[IMAGE])
    }

    fn reason(error: Result<Shape, Error>) -> String {
        error.unwrap_err().to_string()
    }

    #[test]
    fn convolutions_have_the_textbook_shapes() {
        let base = Conv::same(6, 3, 1);
        assert_eq!(of(Op::Conv(base)), Ok(Shape::new(6, 9, 8)));
        assert_eq!(of(Op::Conv(Conv::same(6, 3, 2))), Ok(Shape::new(6, 5, 4)));
        assert_eq!(of(Op::Conv(Conv::same(6, 1, 2))), Ok(Shape::new(6, 5, 4)));
        assert_eq!(of(Op::Conv(Conv { padding: 0, ..base })), Ok(Shape::new(6, 7, 6)));
        assert_eq!(of(Op::Conv(Conv { padding: 0, dilation: 3, ..base })), Ok(Shape::new(6, 3, 2)));
        assert_eq!(of(Op::Conv(Conv { groups: 2, ..base })), Ok(Shape::new(6, 9, 8)));
        for (kernel, stride, dilation) in [(3, 1, 1), (5, 1, 1), (3, 1, 2), (5, 1, 2), (7, 1, 1)] {
            assert_eq!(of(Op::Conv(Conv::depthwise(4, kernel, stride, dilation))), Ok(IMAGE));
            assert_eq!(of(Op::Conv(Conv::depthwise(4, kernel, 2, dilation))), Ok(Shape::new(4, 5, 4)));
        }
    }

    #[test]
    fn convolutions_that_do_not_fit_are_errors() {
        let base = Conv::same(6, 3, 1);
        for bad in [
            Conv { channels: 0, ..base },
            Conv { kernel: 0, ..base },
            Conv { stride: 0, ..base },
            Conv { dilation: 0, ..base },
            Conv { groups: 0, ..base },
        ] {
            assert!(
                reason(of(Op::Conv(bad))).starts_with("layer 1 (") && reason(of(Op::Conv(bad))).contains("at least 1"),
                "{bad:?}"
            );
        }
        assert_eq!(
            reason(of(Op::Conv(Conv { groups: 3, ..base }))),
            "layer 1 (grouped convolution) cannot take an input of shape [4, 9, 8]: \
             3 groups do not divide its channels and the output's"
        );
        let wide = Conv { kernel: 9, padding: 0, ..base };
        assert!(reason(of(Op::Conv(wide))).contains("the kernel spans 9 places"));
    }

    #[test]
    fn pools_and_zeros_have_the_textbook_shapes() {
        let pool = |kernel, stride, padding| Op::Pool(Pool { kind: PoolKind::Average, kernel, stride, padding });
        assert_eq!(of(pool(3, 1, 1)), Ok(IMAGE));
        assert_eq!(of(pool(3, 2, 1)), Ok(Shape::new(4, 5, 4)));
        assert_eq!(of(pool(2, 2, 0)), Ok(Shape::new(4, 4, 4)));
        assert!(reason(of(pool(3, 1, 2))).contains("padding"));
        assert!(of(pool(0, 1, 0)).is_err() && of(pool(2, 0, 0)).is_err() && of(pool(10, 1, 0)).is_err());
        assert_eq!(of(Op::Zero { stride: 2 }), Ok(Shape::new(4, 5, 4)));
        assert!(of(Op::Zero { stride: 0 }).is_err());
        assert_eq!(of(Op::GlobalAveragePool), Ok(Shape::new(4, 1, 1)));
    }

    #[test]
    fn layers_of_several_inputs_check_their_shapes() {
        let other = Shape::new(2, 9, 8);
        assert_eq!(infer(1, Op::Add, &[IMAGE, IMAGE, IMAGE]), Ok(IMAGE));
        assert!(reason(infer(1, Op::Add, &[IMAGE, IMAGE, other])).contains("[2, 9, 8]: the first input is [4, 9, 8]"));
        assert_eq!(infer(1, Op::Concat, &[IMAGE, other]), Ok(Shape::new(6, 9, 8)));
        assert!(infer(1, Op::Concat, &[IMAGE, Shape::new(4, 9, 9)]).is_err());
        assert_eq!(infer(1, Op::Scale, &[IMAGE, Shape::new(4, 1, 1)]), Ok(IMAGE));
        assert!(infer(1, Op::Scale, &[IMAGE, IMAGE]).is_err());
        assert!(reason(infer(1, Op::Scale, &[IMAGE])).contains("takes 2 inputs, not 1"));
        assert!(reason(infer(1, Op::BatchNorm, &[IMAGE, IMAGE])).contains("takes 1 inputs, not 2"));
        for op in [Op::Add, Op::Concat, Op::Scale, Op::BatchNorm, Op::Input] {
            assert!(infer(1, op, &[]).is_err(), "{op:?}");
        }
    }

    #[test]
    fn a_sum_of_one_summand_is_that_summand() -> Result<(), Error> {
        let (mut graph, image) = GraphBuilder::new(IMAGE)?;
        assert_eq!(graph.add(&[image])?, image);
        assert_eq!(graph.concat(&[image])?, image);
        assert!(graph.add(&[]).is_err());
        Ok(())
    }

    #[test]
    fn the_classifier_ends_the_graph() -> Result<(), Error> {
        let (graph, image) = GraphBuilder::new(IMAGE)?;
        let graph = graph.classifier(image, 7)?;
        assert_eq!((graph.input_shape(), graph.classes(), graph.output().0), (IMAGE, 7, 2));
        assert!(infer(1, Op::Linear { outputs: 7 }, &[IMAGE]).is_err());
        let (graph, image) = GraphBuilder::new(IMAGE)?;
        assert!(graph.classifier(image, 0).is_err());
        assert!(GraphBuilder::new(Shape::new(3, 0, 8)).is_err());
        Ok(())
    }
}
