//! What the format allows and the engine does not: attributes that are left out, and dropout, which does nothing in a
//! network that is not trained.

use crate::onnx::{AttributeProto, GraphProto, NodeProto};

/// Number of lists of integers among the types of attributes.
const INTS: i32 = 7;

/// Dropout becomes an identity. Convolutions get the shape of their window, which is that of their weights, and pools a step of one.
pub(super) fn complete(graph: &mut GraphProto) {
    let GraphProto { node, initializer, .. } = graph;
    for node in node {
        match node.op_type.as_str() {
            "Conv" | "ConvTranspose" | "ConvInteger" if ints(node, "kernel_shape").is_none() => {
                let is_weight = |name: Option<&str>| name.is_some() && name == node.input.get(1).map(String::as_str);
                let weight = initializer.iter().find(|tensor| is_weight(tensor.name.as_deref()));
                if let Some(window) = weight.and_then(|weight| weight.dims.get(2..)) {
                    node.attribute.push(of_ints("kernel_shape", window.to_vec()));
                }
            }
            "MaxPool" | "AveragePool" if ints(node, "strides").is_none() => {
                let rank = ints(node, "kernel_shape").map_or(0, <[i64]>::len);
                node.attribute.push(of_ints("strides", vec![1; rank]));
            }
            "Dropout" if node.output.len() == 1 => {
                node.op_type = "Identity".to_owned();
                node.input.truncate(1);
                node.attribute.clear();
            }
            _ => (),
        }
    }
}

fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    node.attribute.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.ints.as_slice())
}

fn of_ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints, r#type: Some(INTS), ..AttributeProto::default() }
}
