//! Changes to the bytes of a model that leave all others as they are: fields that this crate does not know stay.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path};

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use super::{DimensionProto, ModelProto, TensorShapeProto, ValueInfoProto};

/// Most bytes of a message of protobuf.
const LARGEST: u64 = 1 << 31;
/// Graphs within one another that are read: more than models have, and too few to exhaust the stack.
const MOST_GRAPHS: usize = 32;

/// Numbers of the fields that lead to a tensor or an input.
mod field {
    pub const GRAPH_OF_MODEL: u32 = 7;
    pub const NODE: u32 = 1;
    pub const INITIALIZER: u32 = 5;
    pub const INPUT: u32 = 11;
    pub const ATTRIBUTE: u32 = 5;
    pub const TENSOR: u32 = 5;
    pub const GRAPH: u32 = 6;
    pub const TENSORS: u32 = 10;
    pub const GRAPHS: u32 = 11;
    pub const RAW_DATA: u32 = 9;
    pub const EXTERNAL_DATA: u32 = 13;
    pub const DATA_LOCATION: u32 = 14;
    pub const TYPE: u32 = 2;
    pub const TENSOR_TYPE: u32 = 1;
    pub const SHAPE: u32 = 2;
}

/// The fields of a tensor whose values are in another file.
#[derive(Clone, PartialEq, Message)]
struct Outside {
    #[prost(string, optional, tag = "8")]
    name: Option<String>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
    #[prost(int32, optional, tag = "14")]
    data_location: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The model with the weights of other files in it, which lie in `folder` or below; `None` where it has none there.
///
/// # Errors
/// If such a file is missing, too short, or elsewhere, or the whole is more than one file may hold.
pub(crate) fn with_weights(model: &[u8], folder: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut reader = Weights { folder, found: 0, bytes: model.len() as u64 };
    let whole = edit(model, &mut |number, graph| match number {
        field::GRAPH_OF_MODEL => reader.graph(graph, 0).map(Some),
        _ => Ok(None),
    })?;
    Ok((reader.found > 0).then_some(whole))
}

/// The model with these shapes of its inputs.
///
/// # Errors
/// If the file is damaged.
pub(crate) fn with_shapes(model: &[u8], shapes: &[(String, Vec<usize>)]) -> Result<Vec<u8>, String> {
    let of_input = |info: &[u8]| {
        let name = ValueInfoProto::decode(info).map_err(damaged)?.name;
        let Some((_, sizes)) = shapes.iter().find(|(input, _)| *input == name) else { return Ok(None) };
        let dim = sizes.iter().map(|size| DimensionProto { dim_value: Some(*size as i64), dim_param: None });
        let shape = TensorShapeProto { dim: dim.collect() }.encode_to_vec();
        let of_type = |number, kind: &[u8]| match number {
            field::TENSOR_TYPE => replaced(kind, &[field::SHAPE], field::SHAPE, &shape).map(Some),
            _ => Ok(None),
        };
        edit(info, &mut |number, kind| match number {
            field::TYPE => edit(kind, &mut { of_type }).map(Some),
            _ => Ok(None),
        })
        .map(Some)
    };
    edit(model, &mut |number, graph| match number {
        field::GRAPH_OF_MODEL => {
            edit(graph, &mut |number, info| if number == field::INPUT { of_input(info) } else { Ok(None) }).map(Some)
        }
        _ => Ok(None),
    })
}

/// Whether weights of a model are in other files.
pub(crate) fn has_weights_elsewhere(model: &ModelProto) -> bool {
    const EXTERNAL: i32 = 1;
    let graph = model.graph.iter();
    let constants = graph.clone().flat_map(|graph| &graph.node).flat_map(|node| &node.attribute);
    let tensors = constants.filter_map(|attribute| attribute.t.as_ref());
    let mut all = graph.flat_map(|graph| &graph.initializer).chain(tensors);
    all.any(|tensor| tensor.data_location == Some(EXTERNAL))
}

struct Weights<'a> {
    folder: &'a Path,
    /// Number of tensors whose values were elsewhere.
    found: usize,
    /// Size of the model with them.
    bytes: u64,
}

impl Weights<'_> {
    fn graph(&mut self, graph: &[u8], depth: usize) -> Result<Vec<u8>, String> {
        if depth > MOST_GRAPHS {
            return Err(format!("it has more than {MOST_GRAPHS} graphs within one another"));
        }
        edit(graph, &mut |number, part| match number {
            field::INITIALIZER => self.tensor(part),
            field::NODE => {
                let node = edit(part, &mut |number, attribute| match number {
                    field::ATTRIBUTE => self.attribute(attribute, depth).map(Some),
                    _ => Ok(None),
                });
                node.map(Some)
            }
            _ => Ok(None),
        })
    }

    fn attribute(&mut self, attribute: &[u8], depth: usize) -> Result<Vec<u8>, String> {
        edit(attribute, &mut |number, part| match number {
            field::TENSOR | field::TENSORS => self.tensor(part),
            field::GRAPH | field::GRAPHS => self.graph(part, depth + 1).map(Some),
            _ => Ok(None),
        })
    }

    fn tensor(&mut self, tensor: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Outside { name, external_data, data_location } = Outside::decode(tensor).map_err(damaged)?;
        if data_location.unwrap_or_default() == 0 {
            return Ok(None);
        }
        self.found += 1;
        let name = name.unwrap_or_default();
        let of = |key: &str| external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let location =
            of("location").ok_or_else(|| format!("its weight {name:?} is in another file, which it does not name"))?;
        let number = |key: &str| match of(key) {
            None => Ok(None),
            Some(text) => {
                let wrong =
                    |_| format!("its weight {name:?} is in {location}, at {key} {text:?}, which is not a number");
                text.parse::<u64>().map(Some).map_err(wrong)
            }
        };
        let values = self.read(location, number("offset")?.unwrap_or(0), number("length")?)?;
        let dropped = [field::RAW_DATA, field::EXTERNAL_DATA, field::DATA_LOCATION];
        replaced(tensor, &dropped, field::RAW_DATA, &values).map(Some)
    }

    fn read(&mut self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, String> {
        let relative = Path::new(location);
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("its weights are in {location}: only files in its own folder are read"));
        }
        let path = self.folder.join(relative);
        let failed = |problem: String| {
            format!("its weights are in another file, {location}, {problem}: copy it to {}", self.folder.display())
        };
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, mut file) = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("which is missing".to_owned()),
            _ => failed(format!("which cannot be read ({error})")),
        })?;
        let length = length.unwrap_or_else(|| size.saturating_sub(offset));
        let end = offset.saturating_add(length);
        if end > size {
            return Err(failed(format!(
                "which has {size} bytes and not the {end} that are needed, so it is not whole"
            )));
        }
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > LARGEST {
            return Err(format!(
                "with its weights of {location} it has more than {} GiB, which no ONNX file can hold",
                LARGEST >> 30
            ));
        }
        let mut values = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(length).read_to_end(&mut values))
            .map_err(|error| failed(format!("which cannot be read ({error})")))?;
        Ok(values)
    }
}

/// Gives another value of a field with a number and a value, or none to keep it.
type Change<'a> = dyn FnMut(u32, &[u8]) -> Result<Option<Vec<u8>>, String> + 'a;

/// The message with those of its fields replaced for which `change` gives another value.
fn edit(message: &[u8], change: &mut Change) -> Result<Vec<u8>, String> {
    let mut edited = Vec::with_capacity(message.len());
    each(message, |number, whole, value| {
        match value.map(|value| change(number, value)).transpose()?.flatten() {
            Some(value) => push(&mut edited, number, &value),
            None => edited.extend(whole),
        }
        Ok(())
    })?;
    Ok(edited)
}

/// The message without some fields, and with one of bytes at its end.
fn replaced(message: &[u8], without: &[u32], number: u32, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut edited = Vec::with_capacity(message.len() + value.len());
    each(message, |number, whole, _| {
        if !without.contains(&number) {
            edited.extend(whole);
        }
        Ok(())
    })?;
    push(&mut edited, number, value);
    Ok(edited)
}

fn push(message: &mut Vec<u8>, number: u32, value: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(value.len() as u64, message);
    message.extend(value);
}

/// Calls `act` with the number of each field, all its bytes, and its value if that is bytes.
fn each(message: &[u8], mut act: impl FnMut(u32, &[u8], Option<&[u8]>) -> Result<(), String>) -> Result<(), String> {
    let mut rest = message;
    while !rest.is_empty() {
        let begin = rest;
        let (number, wire_type) = decode_key(&mut rest).map_err(damaged)?;
        let (length, is_bytes) = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).map_err(damaged)?;
                (0, false)
            }
            WireType::SixtyFourBit => (8, false),
            WireType::ThirtyTwoBit => (4, false),
            WireType::LengthDelimited => (decode_varint(&mut rest).map_err(damaged)?, true),
            WireType::StartGroup | WireType::EndGroup => return Err(damaged("a group")),
        };
        let length = usize::try_from(length).map_err(damaged)?;
        let (value, after) = rest.split_at_checked(length).ok_or_else(|| damaged("a field beyond its end"))?;
        rest = after;
        act(number, &begin[..begin.len() - rest.len()], is_bytes.then_some(value))?;
    }
    Ok(())
}

fn damaged(error: impl std::fmt::Display) -> String {
    format!("it is damaged: {error}")
}
