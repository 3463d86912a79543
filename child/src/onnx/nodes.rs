//! ONNX nodes and tensors, made from plain values.

use super::proto::attribute_proto::AttributeType;
use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::{Dimension, dimension};
use super::proto::{AttributeProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// A node with one output, named after it.
pub(super) fn node(op_type: &str, inputs: Vec<String>, output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs,
        output: vec![output.to_owned()],
        name: format!("{op_type}_{output}"),
        op_type: op_type.to_owned(),
        attribute: attributes,
    }
}

pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: value as i64, r#type: AttributeType::Int.into(), ..Default::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: value, r#type: AttributeType::Float.into(), ..Default::default() }
}

pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|value| *value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, r#type: AttributeType::Ints.into(), ..Default::default() }
}

/// Attributes that convolutions and poolings share: a square window, the same padding on all sides.
pub(super) fn window(kernel: usize, stride: usize, padding: usize) -> Vec<AttributeProto> {
    vec![ints("kernel_shape", &[kernel; 2]), ints("strides", &[stride; 2]), ints("pads", &[padding; 4])]
}

/// A constant of 32-bit floats.
pub(super) fn tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: DataType::Float.into(),
        name: name.to_owned(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// Name and shape of the model's input or output.
pub(super) fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| Dimension { value: Some(dimension::Value::DimValue(*dim as i64)) }).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)) }),
    }
}
