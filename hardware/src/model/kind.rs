//! Names, in plain words, the kind of a file that is not a model.

use std::path::Path;

use crate::onnx::ModelProto;

/// Files of other kinds: the bytes that they begin with, the place of these, what they are, and what to do.
const BY_BYTES: [(usize, &[u8], &str, &str); 19] = [
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS and not the model itself",
        "run `git lfs pull` where it is from",
    ),
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (0, b"PK\x05\x06", "an empty ZIP archive", "make or download it again"),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it with gunzip or tar"),
    (0, b"BZh", "compressed by bzip2", "unpack it"),
    (0, b"\xfd7zXZ", "compressed by xz", "unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves", "export it to ONNX with tf2onnx"),
    (4, b"TFL3", "a model of TensorFlow Lite", "export the original to ONNX, or measure it with kind = \"command\""),
    (4, b"ORTM", "a model in ONNX Runtime's own format", "take the ONNX file that it was made from"),
    (0, b"ptrt", "an engine of TensorRT", "take the ONNX file that it was built from"),
    (0, b"ftrt", "an engine of TensorRT", "take the ONNX file that it was built from"),
    (0, b"GGUF", "a language model in the format GGUF", "export the original to ONNX"),
    (0, b"\x93NUMPY", "an array of NumPy", "name the model"),
    (0, b"\x89PNG", "an image", "name the model"),
    (0, b"\xff\xd8\xff", "an image", "name the model"),
    (0, b"\x7fELF", "a program", "name the model"),
];

/// The advice for everything of PyTorch.
const OF_TORCH: &str = "export it with torch.onnx.export";

/// What a file is if not an ONNX model, and what to do, as the end of a sentence; `None` for a model.
pub(super) fn problem(content: &[u8], decoded: &Result<ModelProto, prost::DecodeError>, path: &Path) -> Option<String> {
    let has_graph = |model: &ModelProto| model.graph.as_ref().is_some_and(|graph| !graph.node.is_empty());
    match decoded {
        Ok(model) if has_graph(model) => return None,
        _ if content.is_empty() => return Some("it is empty: copy or download it again".to_owned()),
        _ => (),
    }
    if let Some((what, advice)) = other_kind(content) {
        return Some(format!("it is {what}: {advice}"));
    }
    Some(match decoded {
        Ok(model) if model.graph.is_some() => "it is ONNX, but its graph has no nodes: export it again".to_owned(),
        // The first field of every ONNX file is a small version number.
        Err(_) if matches!(content, [0x08, 1..=31, ..]) => format!(
            "it begins as ONNX and is damaged: it has {} bytes, and may be the beginning of a larger file. Copy or download it \
             again",
            content.len()
        ),
        _ if path.extension().is_some_and(|extension| extension == "pb") => {
            "it is not ONNX, but a graph of TensorFlow by its name: export it with tf2onnx".to_owned()
        }
        _ => match text_of(content) {
            Some(text) => format!("it is text, which begins with {text:?}, and not ONNX"),
            None => format!("it is not ONNX: its {} bytes are of no kind that is known here", content.len()),
        },
    })
}

fn other_kind(content: &[u8]) -> Option<(&'static str, &'static str)> {
    if content.starts_with(b"PK\x03\x04") {
        let holds = |name: &[u8]| content.windows(name.len()).any(|window| window == name);
        // TorchScript has constants as well.
        return Some(match () {
            () if holds(b"/constants.pkl") => ("a TorchScript archive of PyTorch", OF_TORCH),
            () if holds(b"/data.pkl") => ("a checkpoint of PyTorch", OF_TORCH),
            () if holds(b"model.weights.h5") => ("a Keras archive", "export it to ONNX with tf2onnx"),
            () if holds(b"xl/workbook") => ("a workbook", "name the model"),
            () => ("a ZIP archive", "unpack it"),
        });
    }
    if matches!(content, [0x80, 2..=5, ..]) {
        return Some(("a pickle of Python, as older versions of PyTorch save", OF_TORCH));
    }
    let is_safetensors =
        content.get(8..10).is_some_and(|text| text.starts_with(b"{\"")) && content.get(4..8) == Some(&[0; 4]);
    if is_safetensors {
        return Some(("a file of weights (safetensors) without the network", OF_TORCH));
    }
    let known = BY_BYTES.iter().find(|(at, bytes, ..)| content.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    if let Some((_, _, what, advice)) = known {
        return Some((what, advice));
    }
    let begin = String::from_utf8_lossy(&content[..content.len().min(1024)]).to_ascii_lowercase();
    let begin = begin.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    match begin {
        _ if begin.starts_with("<!doctype html")
            || begin.starts_with("<html")
            || begin.starts_with('<') && begin.contains("<html") =>
        {
            Some(("a page of a web server (HTML), such as an error or a login", "download the file itself again"))
        }
        _ if begin.starts_with("<?xml") && begin.contains("<net") => Some((
            "an OpenVINO IR without its weights",
            "take the ONNX file that it was made from, or measure it with kind = \"command\"",
        )),
        _ if begin.starts_with("<?xml") => {
            Some(("XML, such as the error of a server", "download the file itself again"))
        }
        _ if is_section(begin) => Some(("a file of settings (TOML)", "name the model")),
        _ if begin.starts_with('{') || begin.starts_with('[') => Some(("JSON text", "name the model")),
        _ => None,
    }
}

/// Checks that a text begins with the name of a section, such as `[search]`.
fn is_section(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default().trim_end();
    let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    name.starts_with(char::is_alphabetic) && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
}

/// The beginning of a text; `None` for bytes that are none.
fn text_of(content: &[u8]) -> Option<String> {
    const MOST: usize = 40;
    let begin = &content[..content.len().min(1024)];
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // A character may be cut at the end.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&begin[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let is_text = text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'));
    is_text.then(|| text.lines().next().unwrap_or_default().chars().take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn of(content: &[u8]) -> String {
        problem(content, &ModelProto::decode(content), Path::new("model.onnx")).unwrap_or_default()
    }

    #[test]
    fn files_that_people_take_for_models_are_named() {
        let zip = |name: &str| [b"PK\x03\x04..".as_slice(), name.as_bytes(), b"...."].concat();
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (Vec::new(), "empty"),
            (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>".to_vec(), "web server"),
            (b"\n  <HTML><head>".to_vec(), "web server"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n".to_vec(), "git lfs pull"),
            (zip("archive/data.pkl"), "checkpoint of PyTorch: export it with torch.onnx.export"),
            (zip("net/constants.pkl and net/data.pkl"), "TorchScript"),
            (zip("model.weights.h5"), "Keras"),
            (zip("model.onnx"), "a ZIP archive: unpack it"),
            (b"\x80\x02}q\x00.".to_vec(), "pickle"),
            (b"\x1f\x8b\x08\x00".to_vec(), "gunzip"),
            (b"\x89HDF\r\n\x1a\n\x00".to_vec(), "HDF5"),
            (b"\x1c\x00\x00\x00TFL3".to_vec(), "TensorFlow Lite"),
            (b"ftrt\x00\x01".to_vec(), "TensorRT"),
            (b"\x10\x00\x00\x00\x00\x00\x00\x00{\"w\":".to_vec(), "safetensors"),
            (b"<?xml version=\"1.0\"?>\n<net name=\"a\">".to_vec(), "OpenVINO IR"),
            (b"{\"error\": \"not found\"}".to_vec(), "JSON"),
            (b"[1, 2]".to_vec(), "JSON"),
            (b"[search]\nevaluations = 60\n".to_vec(), "TOML"),
            (b"Entry not found\n".to_vec(), "text, which begins with \"Entry not found\""),
            (vec![0xff; 100], "100 bytes are of no kind"),
        ];
        for (content, part) in cases {
            let text = of(&content);
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_truncated_model_is_called_damaged() {
        let mut content = vec![0x08, 8, 0x3a, 100];
        content.extend([0_u8; 50]);
        assert!(of(&content).contains("begins as ONNX and is damaged: it has 54 bytes"), "{}", of(&content));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(of(&content).len() < 400);
        }
    }
}
