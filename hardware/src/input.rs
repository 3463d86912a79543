//! An input of a model.

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
    /// If a size is open or zero, or the batch of an image is not 1: latency is that of one inference.
    pub(crate) fn sizes(&self) -> Result<Vec<usize>, String> {
        let Self { name, shape, .. } = self;
        let sizes: Option<Vec<usize>> = shape.as_ref().and_then(|shape| shape.iter().copied().collect());
        let fixed = sizes.filter(|sizes| !sizes.contains(&0) && (sizes.len() != 4 || sizes[0] == 1));
        fixed.ok_or_else(|| {
            let sizes = shape.iter().flatten().map(|size| size.map_or("?".to_owned(), |size| size.to_string()));
            let sizes = sizes.collect::<Vec<_>>().join(", ");
            format!("its input {name:?} has the shape [{sizes}]; export it with a fixed one, batch 1")
        })
    }
}
