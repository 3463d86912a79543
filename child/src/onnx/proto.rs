//! The messages of the ONNX format that a convolutional network needs.
//!
//! Names, numbers and types of the fields are those of the published schema (ONNX IR specification). It is in proto2:
//! repeated integers are written unpacked, and numbers also where they are zero.

use prost::Message;

/// One line a field: its name and type, then how protobuf encodes it.
macro_rules! messages {
    ($($name:ident { $($field:ident: $kind:ty = ($($encoding:tt)*),)* })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name {
            $(#[prost($($encoding)*)] pub $field: $kind,)*
        }
    )*};
}

messages! {
    ModelProto {
        ir_version: i64 = (int64, tag = "1"),
        producer_name: String = (string, tag = "2"),
        producer_version: String = (string, tag = "3"),
        graph: Option<GraphProto> = (message, optional, tag = "7"),
        opset_import: Vec<OperatorSetIdProto> = (message, repeated, tag = "8"),
        metadata_props: Vec<StringStringEntryProto> = (message, repeated, tag = "14"),
    }
    OperatorSetIdProto {
        domain: Option<String> = (string, optional, tag = "1"),
        version: i64 = (int64, tag = "2"),
    }
    StringStringEntryProto {
        key: String = (string, tag = "1"),
        value: String = (string, tag = "2"),
    }
    GraphProto {
        node: Vec<NodeProto> = (message, repeated, tag = "1"),
        name: String = (string, tag = "2"),
        initializer: Vec<TensorProto> = (message, repeated, tag = "5"),
        input: Vec<ValueInfoProto> = (message, repeated, tag = "11"),
        output: Vec<ValueInfoProto> = (message, repeated, tag = "12"),
    }
    NodeProto {
        input: Vec<String> = (string, repeated, tag = "1"),
        output: Vec<String> = (string, repeated, tag = "2"),
        name: String = (string, tag = "3"),
        op_type: String = (string, tag = "4"),
        attribute: Vec<AttributeProto> = (message, repeated, tag = "5"),
    }
    AttributeProto {
        name: String = (string, tag = "1"),
        f: Option<f32> = (float, optional, tag = "2"),
        i: Option<i64> = (int64, optional, tag = "3"),
        ints: Vec<i64> = (int64, repeated, packed = "false", tag = "8"),
        r#type: i32 = (enumeration = "AttributeType", tag = "20"),
    }
    TensorProto {
        dims: Vec<i64> = (int64, repeated, packed = "false", tag = "1"),
        data_type: i32 = (int32, tag = "2"),
        name: String = (string, tag = "8"),
        raw_data: Vec<u8> = (bytes = "vec", tag = "9"),
    }
    ValueInfoProto {
        name: String = (string, tag = "1"),
        r#type: Option<TypeProto> = (message, optional, tag = "2"),
    }
    TypeProto {
        tensor_type: Option<TensorTypeProto> = (message, optional, tag = "1"),
    }
    TensorTypeProto {
        elem_type: i32 = (int32, tag = "1"),
        shape: Option<TensorShapeProto> = (message, optional, tag = "2"),
    }
    TensorShapeProto {
        dim: Vec<DimensionProto> = (message, repeated, tag = "1"),
    }
    DimensionProto {
        dim_value: Option<i64> = (int64, optional, tag = "1"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum AttributeType {
    Undefined = 0,
    Float = 1,
    Int = 2,
    Ints = 7,
}

/// Number of 32-bit floats among the element types.
pub(super) const FLOAT: i32 = 1;
