//! Operators that run here and not in the engine: convolutions that join all channels or none, and average pooling.

use rten::{DataType, Dimension, Model, ValueType};

use super::convolution::Convolution;
use super::pointwise::Pointwise;
use super::range::Range;
use super::tiny::Tiny;
use super::vector::{Dense, Mean};
use super::windows::{Geometry, Pair, Windows};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Number of 32-bit floats among the element types of the format.
pub(super) const FLOAT: i32 = 1;

/// An operator, ready to run.
#[derive(Debug)]
pub(super) enum Kernel {
    Windows(Windows),
    Tiny(Tiny),
    Convolution(Convolution),
    Pointwise(Pointwise),
    Dense(Dense),
    Mean(Mean),
}

impl Kernel {
    /// The output's values, within `range`, for those of the input, on the threads of the calling pool. All of `result` is
    /// overwritten.
    pub(super) fn run(&self, values: &[f32], range: Range, result: &mut [f32]) {
        match self {
            Self::Windows(windows) => windows.run(values, range, result),
            Self::Tiny(tiny) => tiny.run(values, range, result),
            Self::Convolution(convolution) => convolution.run(values, range, result),
            Self::Pointwise(pointwise) => pointwise.run(values, range, result),
            Self::Dense(dense) => dense.run(values, range, result),
            Self::Mean(mean) => mean.run(values, range, result),
        }
    }
}

/// The kernel of a node and the shape of its output: sizes are known, elements are 32-bit floats, and attributes are those
/// that a kernel knows.
pub(super) fn of_node(node: &NodeProto, graph: &GraphProto, model: &Model) -> Option<(Kernel, Vec<usize>)> {
    let [batch, channels, height, width] = float_shape(model, node.input.first()?)?;
    let initial = |name: &String| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name.as_ref() == Some(name))?;
        Some((tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<_>>>()?, floats(tensor)?))
    };
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let number = |name: &str, default: i64| attribute(name).map_or(Some(default), |attribute| attribute.i);
    let is_set = |attribute: &AttributeProto| attribute.s.as_deref().is_some_and(|text| text != b"NOTSET");
    if attribute("auto_pad").is_some_and(is_set) || !matches!(node.domain.as_deref(), None | Some("" | "ai.onnx")) {
        return None;
    }
    let sizes = |name: &str, default: &[usize]| match attribute(name) {
        Some(attribute) => attribute.ints.iter().map(|size| usize::try_from(*size).ok()).collect(),
        None => Some(default.to_vec()),
    };
    let pair = |name: &str, default: &[usize]| Pair::try_from(sizes(name, default)?).ok();
    let geometry = |kernel: &[usize]| {
        let [top, left, bottom, right] = sizes("pads", &[0; 4])?.try_into().ok()?;
        Some(Geometry {
            kernel: pair("kernel_shape", kernel)?,
            strides: pair("strides", &[1; 2])?,
            dilations: pair("dilations", &[1; 2])?,
            before: [top, left],
            after: [bottom, right],
        })
    };
    let windows = |windows: Windows| {
        let [height, width] = windows.output();
        (Kernel::Windows(windows), [batch, channels, height, width])
    };
    let (kernel, shape) = match (&*node.op_type, &node.input[..]) {
        ("Conv", [_, weights, bias @ ..]) => {
            let (shape, weights) = initial(weights)?;
            let bias = match bias.first().filter(|name| !name.is_empty()) {
                Some(name) => initial(name)?.1,
                None => Vec::new(),
            };
            let (geometry, group) = (geometry(shape.get(2..)?)?, number("group", 1)?);
            let [rows, columns] = geometry.kernel;
            let is_padded = [geometry.before, geometry.after] != [[0; 2]; 2];
            if channels > 1 && group == i64::try_from(channels).ok()? && shape == [channels, 1, rows, columns] {
                let input = [height, width];
                let large = Windows::depthwise(geometry, input, weights.clone(), bias.clone())?;
                match Tiny::new(geometry, input, large.output(), &weights, &bias) {
                    Some(tiny) => {
                        let [height, width] = large.output();
                        (Kernel::Tiny(tiny), [batch, channels, height, width])
                    }
                    None => windows(large),
                }
            } else if [height, width, rows, columns] == [1; 4]
                && !is_padded
                && group == 1
                && shape.get(1) == Some(&channels)
            {
                (Kernel::Dense(Dense::new(shape[0], channels, &weights, &bias)?), [batch, shape[0], 1, 1])
            } else if group != 1 || shape != [shape[0], channels, rows, columns] {
                return None;
            } else if geometry.is_one_pixel() {
                let pointwise = Pointwise::new(height.checked_mul(width)?, &weights, &bias, shape[0])?;
                (Kernel::Pointwise(pointwise), [batch, shape[0], height, width])
            } else {
                let convolution = Convolution::new(geometry, [height, width], &weights, &bias, shape[0])?;
                let [height, width] = convolution.output();
                (Kernel::Convolution(convolution), [batch, shape[0], height, width])
            }
        }
        ("AveragePool", [_]) if number("ceil_mode", 0)? == 0 => {
            windows(Windows::average(geometry(&[])?, [height, width], number("count_include_pad", 0)? != 0)?)
        }
        ("GlobalAveragePool", [_]) => (Kernel::Mean(Mean::new(height.checked_mul(width)?)?), [batch, channels, 1, 1]),
        _ => return None,
    };
    let fits = float_shape(model, node.output.first()?)? == shape;
    let is_empty = [batch, channels, height, width, shape[1]].contains(&0);
    (fits && !is_empty).then(|| (kernel, shape.to_vec()))
}

/// The range of an activation that only limits values; absent for any other node.
pub(super) fn range_of(node: &NodeProto, graph: &GraphProto) -> Option<Range> {
    let limit = |input: usize, default: f32| match node.input.get(input).filter(|name| !name.is_empty()) {
        Some(name) => {
            let limit = graph.initializer.iter().find(|tensor| tensor.name.as_ref() == Some(name))?;
            <[f32; 1]>::try_from(floats(limit)?).ok().map(|[limit]| limit)
        }
        None => Some(default),
    };
    match &*node.op_type {
        "Relu" => Some(Range { low: 0.0, ..Range::ALL }),
        // Older files have the limits as attributes.
        "Clip" if node.attribute.is_empty() => {
            Some(Range { low: limit(1, Range::ALL.low)?, high: limit(2, Range::ALL.high)? })
        }
        _ => None,
    }
}

/// The shape of a tensor of 32-bit floats with four dimensions, where it is known.
fn float_shape(model: &Model, name: &str) -> Option<[usize; 4]> {
    let info = model.node_info(model.find_node(name)?)?;
    let sizes = info.shape()?.into_iter().map(|dimension| match dimension {
        Dimension::Fixed(size) => Some(size),
        Dimension::Symbolic(_) => None,
    });
    let is_float = info.dtype() == Some(ValueType::Tensor(DataType::Float));
    sizes.collect::<Option<Vec<_>>>()?.try_into().ok().filter(|_| is_float)
}

/// The values of a tensor of 32-bit floats.
fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != Some(FLOAT) {
        return None;
    }
    Some(match &tensor.raw_data {
        Some(raw) => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        None => tensor.float_data.clone(),
    })
}
