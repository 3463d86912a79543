//! ONNX nodes and tensors, made from plain values.

use super::proto::{
    AttributeProto, AttributeType, DimensionProto, FLOAT, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

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
    AttributeProto {
        name: name.to_owned(),
        i: Some(value as i64),
        r#type: AttributeType::Int.into(),
        ..Default::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), r#type: AttributeType::Float.into(), ..Default::default() }
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
        data_type: FLOAT,
        name: name.to_owned(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// Name and shape of the model's input or output.
pub(super) fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| DimensionProto { dim_value: Some(*dim as i64) }).collect();
    let tensor_type = TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// As proto2 does; some readers accept no other form.
    #[test]
    fn repeated_integers_are_written_unpacked() {
        let attribute = ints("pads", &[1, 300]).encode_to_vec();
        assert!(attribute.windows(5).any(|bytes| bytes == [0x40, 1, 0x40, 0xac, 0x02]), "{attribute:x?}");
        let tensor = tensor("weight", &[3, 4], &[0.0; 12]).encode_to_vec();
        assert!(tensor.starts_with(&[0x08, 3, 0x08, 4]), "{tensor:x?}");
    }

    #[test]
    fn zeros_are_written() {
        assert!(int("count_include_pad", 0).encode_to_vec().windows(2).any(|bytes| bytes == [0x18, 0]));
    }
}
