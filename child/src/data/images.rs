//! Labelled images in memory, and selections of them.

use std::sync::Arc;

use crate::Error;
use crate::graph::Shape;

/// Labelled images as they were stored: one byte a value, planar, `[images, channels, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pub(super) shape: Shape,
    /// Value of full intensity.
    pub(super) scale: u8,
    data: Vec<u8>,
    pub(super) labels: Vec<u16>,
}

impl Images {
    /// Images from their bytes and labels. `scale` is the value of full intensity: 255 for most, 16 for the digits.
    ///
    /// # Errors
    /// If the shape or the scale is 0, there are 0 images or more than 2³² of them, bytes and labels differ in
    /// number, or a byte lies above the scale.
    pub fn new(shape: Shape, scale: u8, data: Vec<u8>, labels: Vec<u16>) -> Result<Self, Error> {
        let misfit = |reason: String| Error::new("the data set of images", reason);
        if shape.elements() == 0 || scale == 0 {
            return Err(misfit(format!("images of shape {shape} with values up to {scale} hold nothing")));
        }
        if labels.is_empty() || u32::try_from(labels.len()).is_err() {
            return Err(misfit(format!("it has {} images; 1 to 4,294,967,295 are possible", labels.len())));
        }
        if labels.len().checked_mul(shape.elements()) != Some(data.len()) {
            let (bytes, images) = (data.len(), labels.len());
            return Err(misfit(format!("{bytes} bytes are not {images} images of shape {shape}")));
        }
        if let Some(at) = data.iter().position(|value| *value > scale) {
            let image = at / shape.elements();
            return Err(misfit(format!("image {image} has the value {}, above the scale {scale}", data[at])));
        }
        Ok(Self { shape, scale, data, labels })
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// All bytes, `[images, channels, height, width]`.
    #[cfg(feature = "tch")]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Bytes of an image, `[channels, height, width]`.
    ///
    /// # Panics
    /// If the index is beyond the images.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        let elements = self.shape.elements();
        &self.data[index * elements..][..elements]
    }
}

/// A selection of images; the images themselves are shared, not copied.
#[derive(Debug, Clone)]
pub struct Split {
    /// All images among which the selection is made.
    pub(super) images: Arc<Images>,
    /// The selected ones, in the order of the selection.
    pub(super) indices: Vec<u32>,
}

impl Split {
    /// A selection of all images.
    pub fn all(images: Arc<Images>) -> Self {
        // `Images` holds no more than u32 counts.
        let indices = (0..images.len() as u32).collect();
        Self { images, indices }
    }

    /// The same images, other indices. They must be indices of this split's images.
    pub(super) fn with_indices(&self, indices: Vec<u32>) -> Self {
        debug_assert!(indices.iter().all(|index| (*index as usize) < self.images.len()));
        Self { images: Arc::clone(&self.images), indices }
    }

    /// The first images of the selection: `count` of them, or all if it has fewer.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        self.with_indices(self.indices[..count.min(self.indices.len())].to_vec())
    }

    /// Number of images in the selection.
    #[expect(clippy::len_without_is_empty, reason = "every selection that this crate makes has images")]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Shape of one image.
    pub fn shape(&self) -> Shape {
        self.images.shape
    }

    /// The selected images as they are stored, `[channels, height, width]` each, with their classes.
    pub fn pixels(&self) -> impl ExactSizeIterator<Item = (&[u8], u16)> + '_ {
        self.indices.iter().zip(self.labels()).map(|(index, label)| (self.images.image(*index as usize), label))
    }

    /// Share of the images that are of the most frequent class: the accuracy of answering that class always.
    pub fn largest_share(&self) -> f64 {
        let classes = self.labels().max().map_or(0, |label| usize::from(label) + 1);
        let largest = self.class_counts(classes).into_iter().max().unwrap_or(0);
        largest as f64 / self.len().max(1) as f64
    }

    /// Classes of the selected images, in their order.
    pub(crate) fn labels(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        self.indices.iter().map(|index| self.images.labels[*index as usize])
    }

    /// Selected images of each class, for the given number of classes.
    pub(super) fn class_counts(&self, classes: usize) -> Vec<usize> {
        self.by_class(classes).iter().map(Vec::len).collect()
    }

    /// Indices of each class's images, in the order of the selection; labels beyond the classes are left out.
    pub(super) fn by_class(&self, classes: usize) -> Vec<Vec<u32>> {
        let mut by_class = vec![Vec::new(); classes];
        for (index, label) in self.indices.iter().zip(self.labels()) {
            if let Some(class) = by_class.get_mut(usize::from(label)) {
                class.push(*index);
            }
        }
        by_class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(1, 1, 2);

    #[test]
    fn images_that_do_not_fit_together_are_errors() {
        assert!(Images::new(SHAPE, 9, vec![1, 2, 3, 9], vec![0, 1]).is_ok());
        let error = |shape, scale, data, labels| Images::new(shape, scale, data, labels).unwrap_err().to_string();
        assert!(error(SHAPE, 9, vec![1, 2, 3], vec![0, 1]).contains("3 bytes are not 2 images of shape [1, 1, 2]"));
        assert!(error(SHAPE, 9, vec![1, 2, 10, 1], vec![0, 1]).contains("image 1 has the value 10"));
        assert!(error(SHAPE, 9, vec![], vec![]).contains("0 images"));
        assert!(error(Shape::new(0, 1, 1), 9, vec![], vec![0]).contains("hold nothing"));
        assert!(error(SHAPE, 0, vec![0, 0], vec![0]).contains("hold nothing"));
    }

    #[test]
    fn a_selection_keeps_its_order_and_copies_no_image() {
        let images = Arc::new(Images::new(SHAPE, 9, vec![1, 2, 3, 4, 5, 6], vec![2, 0, 2]).unwrap());
        let split = Split::all(Arc::clone(&images)).with_indices(vec![2, 1]);
        assert_eq!(split.labels().collect::<Vec<_>>(), [2, 0]);
        assert_eq!(split.class_counts(3), [1, 0, 1]);
        assert_eq!(split.pixels().collect::<Vec<_>>(), [(&[5, 6][..], 2), (&[3, 4][..], 0)]);
        assert_eq!((split.largest_share(), Split::all(Arc::clone(&images)).largest_share()), (0.5, 2.0 / 3.0));
        assert_eq!(split.images.image(2), [5, 6]);
        assert!(Arc::ptr_eq(&split.images, &images));
    }
}
