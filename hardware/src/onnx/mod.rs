//! ONNX files: the messages of the format that an engine on a processor needs, and the inputs of a model.
//!
//! Names, numbers and types of the fields are those of the published schema (ONNX IR specification). Repeated integers
//! are read packed and unpacked, and written unpacked, as the schema (proto2) says.

pub(crate) mod whole;

use prost::Message;

use crate::input::{Input, NO_TENSOR};

/// One line a field: its name and type, then how protobuf encodes it.
macro_rules! messages {
    ($($name:ident { $($field:ident: $kind:ty = ($($encoding:tt)*),)* })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub(crate) struct $name {
            $(#[prost($($encoding)*)] pub $field: $kind,)*
        }
    )*};
}

messages! {
    ModelProto {
        ir_version: Option<i64> = (int64, optional, tag = "1"),
        graph: Option<GraphProto> = (message, optional, tag = "7"),
        opset_import: Vec<OperatorSetIdProto> = (message, repeated, tag = "8"),
    }
    OperatorSetIdProto {
        domain: Option<String> = (string, optional, tag = "1"),
        version: Option<i64> = (int64, optional, tag = "2"),
    }
    GraphProto {
        node: Vec<NodeProto> = (message, repeated, tag = "1"),
        name: String = (string, tag = "2"),
        initializer: Vec<TensorProto> = (message, repeated, tag = "5"),
        input: Vec<ValueInfoProto> = (message, repeated, tag = "11"),
        output: Vec<ValueInfoProto> = (message, repeated, tag = "12"),
        value_info: Vec<ValueInfoProto> = (message, repeated, tag = "13"),
    }
    NodeProto {
        input: Vec<String> = (string, repeated, tag = "1"),
        output: Vec<String> = (string, repeated, tag = "2"),
        name: String = (string, tag = "3"),
        op_type: String = (string, tag = "4"),
        attribute: Vec<AttributeProto> = (message, repeated, tag = "5"),
        domain: Option<String> = (string, optional, tag = "7"),
    }
    AttributeProto {
        name: String = (string, tag = "1"),
        f: Option<f32> = (float, optional, tag = "2"),
        i: Option<i64> = (int64, optional, tag = "3"),
        s: Option<Vec<u8>> = (bytes = "vec", optional, tag = "4"),
        t: Option<TensorProto> = (message, optional, tag = "5"),
        g: Option<GraphProto> = (message, optional, tag = "6"),
        floats: Vec<f32> = (float, repeated, packed = "false", tag = "7"),
        ints: Vec<i64> = (int64, repeated, packed = "false", tag = "8"),
        strings: Vec<Vec<u8>> = (bytes = "vec", repeated, tag = "9"),
        r#type: Option<i32> = (int32, optional, tag = "20"),
    }
    TensorProto {
        dims: Vec<i64> = (int64, repeated, packed = "false", tag = "1"),
        data_type: Option<i32> = (int32, optional, tag = "2"),
        float_data: Vec<f32> = (float, repeated, tag = "4"),
        int32_data: Vec<i32> = (int32, repeated, tag = "5"),
        int64_data: Vec<i64> = (int64, repeated, tag = "7"),
        name: Option<String> = (string, optional, tag = "8"),
        raw_data: Option<Vec<u8>> = (bytes = "vec", optional, tag = "9"),
        double_data: Vec<f64> = (double, repeated, tag = "10"),
        data_location: Option<i32> = (int32, optional, tag = "14"),
    }
    ValueInfoProto {
        name: String = (string, tag = "1"),
        r#type: Option<TypeProto> = (message, optional, tag = "2"),
    }
    TypeProto {
        tensor_type: Option<TensorTypeProto> = (message, optional, tag = "1"),
        sequence_type: Option<Vec<u8>> = (bytes = "vec", optional, tag = "4"),
        map_type: Option<Vec<u8>> = (bytes = "vec", optional, tag = "5"),
        optional_type: Option<Vec<u8>> = (bytes = "vec", optional, tag = "9"),
    }
    TensorTypeProto {
        elem_type: Option<i32> = (int32, optional, tag = "1"),
        shape: Option<TensorShapeProto> = (message, optional, tag = "2"),
    }
    TensorShapeProto {
        dim: Vec<DimensionProto> = (message, repeated, tag = "1"),
    }
    DimensionProto {
        dim_value: Option<i64> = (int64, optional, tag = "1"),
        dim_param: Option<String> = (string, optional, tag = "2"),
    }
}

/// Names of the element types, by their numbers in the format.
const ELEMENTS: [&str; 17] = [
    "unknown",
    "float32",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "float64",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
];

/// The inputs of a graph that a caller has to give: older files list their weights among them.
pub(crate) fn inputs(graph: &GraphProto) -> Vec<Input> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name.as_deref() == Some(name));
    let size = |dim: &DimensionProto| usize::try_from(dim.dim_value?).ok();
    let input = |info: &ValueInfoProto| {
        let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let element = tensor.and_then(|tensor| ELEMENTS.get(usize::try_from(tensor.elem_type?).ok()?));
        let is_other = info.r#type.as_ref().is_some_and(|kind| {
            kind.sequence_type.is_some() || kind.map_type.is_some() || kind.optional_type.is_some()
        });
        let dims = tensor.and_then(|tensor| Some(&tensor.shape.as_ref()?.dim));
        Input {
            name: info.name.clone(),
            element: if is_other { NO_TENSOR } else { element.unwrap_or(&ELEMENTS[0]) },
            shape: dims.map(|dims| dims.iter().map(size).collect()),
        }
    };
    graph.input.iter().filter(|info| !is_weight(&info.name)).map(input).collect()
}
