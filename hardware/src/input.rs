//! An input of a model.

use std::fmt;
use std::str::FromStr;

/// The type of an input that holds something else than a tensor.
pub(crate) const NO_TENSOR: &str = "no tensor";

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Type of its elements, as NumPy calls it: `float32`, `uint8`, `int64`.
    pub element: &'static str,
    /// Size of each dimension, `[batch, channels, height, width]` for images; `None` for a size that the file leaves
    /// open, and for a shape of unknown rank.
    pub shape: Option<Vec<Option<usize>>>,
}

impl Input {
    /// The sizes of the input, if it can be measured.
    ///
    /// # Errors
    /// If a size is open or zero, or the input holds no tensor.
    pub(crate) fn sizes(&self) -> Result<Vec<usize>, String> {
        let Self { name, shape, element } = self;
        if *element == NO_TENSOR {
            return Err(format!(
                "its input {name:?} is a sequence, a map or an optional value, and no tensor: export the model with tensors"
            ));
        }
        let sizes: Option<Vec<usize>> = shape.as_ref().and_then(|shape| shape.iter().copied().collect());
        sizes.filter(|sizes| !sizes.contains(&0)).ok_or_else(|| {
            let shown = self.shown("?");
            format!(
                "its input {name:?} has {}; export it with a fixed one, batch 1",
                shown.map_or_else(
                    || "no shape in the file".to_owned(),
                    |shown| format!("the shape [{}]", shown.replace(',', ", ")),
                )
            )
        })
    }

    /// The option of `controller measure` that gives it a shape, with letters in place of sizes that only the user knows.
    pub(crate) fn shape_option(&self, is_only: bool) -> String {
        let sizes = self.shown("N").unwrap_or_else(|| "1,N".to_owned());
        let sizes = sizes.strip_prefix('N').map_or_else(|| sizes.clone(), |rest| format!("1{rest}"));
        let name = if is_only { String::new() } else { format!("{}:", self.name) };
        format!("--input-shape {name}{sizes}")
    }

    fn shown(&self, open: &str) -> Option<String> {
        let sizes = self.shape.as_ref()?.iter();
        let sizes = sizes.map(|size| size.filter(|size| *size > 0).map_or(open.to_owned(), |size| size.to_string()));
        Some(sizes.collect::<Vec<_>>().join(","))
    }
}

/// The shape of an input, as a user gives it: `1,3,224,224`, or `NAME:1,3,224,224` where a model has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// The input; absent for the only one.
    pub name: Option<String>,
    /// Its sizes.
    pub sizes: Vec<usize>,
}

impl FromStr for InputShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a shape: expected sizes such as 1,3,224,224, or NAME:1,3,224,224 for a model of several inputs"
            )
        };
        // Names may have colons in them.
        let (name, sizes) = match text.rsplit_once(':') {
            Some((name, sizes)) => (Some(name.trim().to_owned()), sizes),
            None => (None, text),
        };
        let sizes = sizes.trim().trim_start_matches('[').trim_end_matches(']');
        let size = |word: &str| word.trim().parse::<usize>().ok().filter(|size| (1..=i32::MAX as usize).contains(size));
        let sizes: Option<Vec<usize>> = match sizes {
            // A scalar.
            "" if name.is_some() => Some(Vec::new()),
            sizes => sizes.split([',', 'x']).map(size).collect(),
        };
        Ok(Self { name: name.filter(|name| !name.is_empty()), sizes: sizes.ok_or_else(wrong)? })
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match &self.name {
            Some(name) => write!(f, "{name}:{sizes}"),
            None => f.write_str(&sizes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<InputShape>().map(|shape| (shape.name, shape.sizes));
        assert_eq!(read("1,3,224,224"), Ok((None, vec![1, 3, 224, 224])));
        assert_eq!(read("[1, 3, 8, 8]"), Ok((None, vec![1, 3, 8, 8])));
        assert_eq!(read("1x64"), Ok((None, vec![1, 64])));
        assert_eq!(read("input:0:1,64"), Ok((Some("input:0".to_owned()), vec![1, 64])));
        for wrong in ["", "1,,3", "1,-3", "a", "ids:1,N", "0,3", "1,3,99999999999999999999"] {
            assert!(read(wrong).unwrap_err().contains("such as 1,3,224,224"), "{wrong}");
        }
    }

    #[test]
    fn an_open_shape_comes_with_the_option_that_fixes_it() {
        let open = |shape: Option<Vec<Option<usize>>>| Input { name: "x".to_owned(), element: "float32", shape };
        let image = open(Some(vec![None, Some(3), Some(32), Some(32)]));
        assert!(image.sizes().unwrap_err().contains("[?, 3, 32, 32]; export it with a fixed one, batch 1"));
        assert_eq!(image.shape_option(true), "--input-shape 1,3,32,32");
        assert_eq!(open(Some(vec![Some(0), None])).shape_option(false), "--input-shape x:1,N");
        assert!(open(None).sizes().unwrap_err().contains("no shape"));
        assert_eq!(open(Some(vec![Some(2), Some(3), Some(4), Some(5)])).sizes(), Ok(vec![2, 3, 4, 5]));
        assert_eq!(open(Some(Vec::new())).sizes(), Ok(Vec::new()));
    }
}
