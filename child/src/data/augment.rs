//! Random changes of training images that keep their class.

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::normalise::Affine;
use crate::Error;
use crate::graph::Shape;

/// Random changes of each training image; by default none.
///
/// The usual recipe for CIFAR-10 is `flip = true`, `crop_padding = 4` (He et al. 2016, *Deep Residual Learning*,
/// section 4.2) and `cutout = 16` (DeVries & Taylor 2017, *Improved Regularization of Convolutional Neural Networks
/// with Cutout*).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Mirror left and right with probability 1/2. Not for digits or text.
    pub flip: bool,
    /// Pixels by which the image is padded on every side before a piece of its own size is cut out; the padding is 0
    /// after normalisation, the mean of the channel. 0 switches it off.
    pub crop_padding: usize,
    /// Side of the square that is set to 0 after normalisation, in pixels. Its centre lies anywhere in the image, and
    /// parts outside of the image are clipped. 0 switches it off.
    pub cutout: usize,
}

impl Augmentation {
    /// Rejects settings that can hide a whole image of the given shape.
    ///
    /// # Errors
    /// If padding or square are as large as the image's smaller side.
    pub fn check(&self, shape: Shape) -> Result<(), Error> {
        let side = shape.height.min(shape.width);
        for (key, pixels) in [("crop_padding", self.crop_padding), ("cutout", self.cutout)] {
            if pixels >= side {
                let reason = format!("{pixels} pixels can hide a whole image of {side}; set it to less");
                return Err(Error::setting(key, reason));
            }
        }
        Ok(())
    }

    pub(super) fn draw(&self, shape: Shape, rng: &mut ChaCha8Rng) -> View {
        let mut shift = || match self.crop_padding {
            0 => 0,
            padding => rng.random_range(0..=2 * padding) as isize - padding as isize,
        };
        let (down, right) = (shift(), shift());
        let flip = self.flip && rng.random_bool(0.5);
        let mut span = |size: usize| {
            let centre = rng.random_range(0..size);
            centre.saturating_sub(self.cutout / 2)..(centre + self.cutout.div_ceil(2)).min(size)
        };
        let hole = (self.cutout > 0).then(|| (span(shape.height), span(shape.width)));
        View { down, right, flip, hole }
    }
}

/// The changes of one image: moved, then mirrored, then with a hole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Row of the image that becomes row 0.
    pub(crate) down: isize,
    /// Column of the image that becomes column 0 before mirroring.
    pub(crate) right: isize,
    pub(crate) flip: bool,
    /// Rows and columns that are set to 0.
    pub(crate) hole: Option<(Range<usize>, Range<usize>)>,
}

impl View {
    /// Writes the normalised view of `image` to `output`, which must be all 0; both `[channels, height, width]`.
    pub(super) fn write(&self, image: &[u8], shape: Shape, affine: &[Affine], output: &mut [f32]) {
        let (height, width) = (shape.height, shape.width);
        let rows = visible(height, self.down);
        let columns = visible(width, self.right);
        let source_columns =
            columns.start.saturating_add_signed(self.right)..columns.end.saturating_add_signed(self.right);
        let mirrored_columns = width - columns.end..width - columns.start;
        let planes = output.chunks_exact_mut(height * width).zip(image.chunks_exact(height * width));
        for ((output, image), &Affine { factor, offset }) in planes.zip(affine) {
            for row in rows.clone() {
                let source = &image[row.saturating_add_signed(self.down) * width..][source_columns.clone()];
                let target = &mut output[row * width..][..width];
                if self.flip {
                    for (value, byte) in target[mirrored_columns.clone()].iter_mut().rev().zip(source) {
                        *value = f32::from(*byte) * factor + offset;
                    }
                } else {
                    for (value, byte) in target[columns.clone()].iter_mut().zip(source) {
                        *value = f32::from(*byte) * factor + offset;
                    }
                }
            }
            if let Some((rows, columns)) = &self.hole {
                for row in rows.clone() {
                    output[row * width..][columns.clone()].fill(0.0);
                }
            }
        }
    }
}

/// Places of a side that still show the image when it is moved by `shift`.
fn visible(size: usize, shift: isize) -> Range<usize> {
    let moved = shift.unsigned_abs().min(size);
    if shift < 0 { moved..size } else { 0..size - moved }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SHAPE: Shape = Shape::new(2, 3, 4);
    const UNCHANGED: [Affine; 2] = [Affine { factor: 1.0, offset: 0.0 }; 2];

    /// Values 1 to 24, without 0.
    fn image() -> Vec<u8> {
        (1..=SHAPE.elements() as u8).collect()
    }

    fn see(view: &View, image: &[u8]) -> Vec<u8> {
        let mut output = vec![0.0; image.len()];
        view.write(image, SHAPE, &UNCHANGED, &mut output);
        output.into_iter().map(|value| value as u8).collect()
    }

    #[test]
    fn flipping_mirrors_each_row_and_twice_is_identity() {
        let view = View { flip: true, ..View::default() };
        let flipped = see(&view, &image());
        assert_eq!(flipped[..8], [4, 3, 2, 1, 8, 7, 6, 5]);
        assert_eq!(see(&view, &flipped), image());
    }

    #[test]
    fn without_changes_the_image_is_only_normalised() {
        let none = Augmentation::default();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        assert_eq!(none.draw(SHAPE, &mut rng), View::default());
        assert_eq!(see(&View::default(), &image()), image());
        let affine = [Affine { factor: 2.0, offset: 1.0 }, Affine { factor: 0.5, offset: -1.0 }];
        let mut output = vec![0.0; SHAPE.elements()];
        View::default().write(&image(), SHAPE, &affine, &mut output);
        assert_eq!((output[0], output[11], output[12], output[23]), (3.0, 25.0, 5.5, 11.0));
    }

    #[test]
    fn a_moved_image_is_padded_with_0() {
        let seen = see(&View { down: 1, right: -2, ..View::default() }, &image());
        assert_eq!(seen[..12], [0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 0, 0]);
        // Moved first, mirrored then.
        let seen = see(&View { down: -1, right: 1, flip: true, hole: None }, &image());
        assert_eq!(seen[..12], [0, 0, 0, 0, 0, 4, 3, 2, 0, 8, 7, 6]);
        assert_eq!(see(&View { down: 9, right: -9, ..View::default() }, &image()), [0; 24]);
    }

    #[test]
    fn cutout_hides_its_square_and_is_clipped_at_borders() {
        let shape = Shape::new(3, 16, 16);
        for side in [1, 2, 5, 8] {
            let cutout = Augmentation { cutout: side, ..Augmentation::default() };
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let mut areas = Vec::new();
            for _ in 0..500 {
                let view = cutout.draw(shape, &mut rng);
                let (rows, columns) = view.hole.clone().unwrap();
                let mut output = vec![0.0; shape.elements()];
                view.write(&[1; 768], shape, &[UNCHANGED[0]; 3], &mut output);
                let hidden = output.iter().filter(|value| **value == 0.0).count();
                assert_eq!(hidden, 3 * rows.len() * columns.len());
                if rows.start > 0 && rows.end < 16 && columns.start > 0 && columns.end < 16 {
                    assert_eq!(hidden, 3 * side * side, "a square in the interior is whole");
                }
                areas.push(rows.len() * columns.len());
            }
            assert_eq!(areas.iter().max(), Some(&(side * side)));
            assert_eq!(areas.iter().any(|area| *area < side * side), side > 1, "some squares are clipped");
        }
    }

    #[test]
    fn draws_cover_all_moves_and_both_sides_evenly() {
        let augmentation = Augmentation { flip: true, crop_padding: 1, cutout: 0 };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let views: Vec<_> = (0..9000).map(|_| augmentation.draw(SHAPE, &mut rng)).collect();
        let flipped = views.iter().filter(|view| view.flip).count();
        assert!((4300..4700).contains(&flipped), "{flipped}");
        for (down, right) in (-1..=1).flat_map(|down| (-1..=1).map(move |right| (down, right))) {
            let count = views.iter().filter(|view| (view.down, view.right) == (down, right)).count();
            assert!((850..1150).contains(&count), "{down} {right}: {count}");
        }
    }

    #[test]
    fn settings_that_can_hide_an_image_are_errors() {
        let shape = Shape::new(1, 8, 8);
        assert!(Augmentation { flip: true, crop_padding: 7, cutout: 7 }.check(shape).is_ok());
        let error = Augmentation { cutout: 8, ..Augmentation::default() }.check(shape).unwrap_err().to_string();
        assert!(error.starts_with("`cutout`: 8 pixels"), "{error}");
        assert!(Augmentation { crop_padding: 8, ..Augmentation::default() }.check(shape).is_err());
    }

    #[test]
    fn keys_are_optional_and_unknown_ones_are_errors() {
        let read: Augmentation = toml::from_str("flip = true\ncutout = 4").unwrap();
        assert_eq!(read, Augmentation { flip: true, crop_padding: 0, cutout: 4 });
        let error = toml::from_str::<Augmentation>("flip = true\ncutuot = 4").unwrap_err().to_string();
        assert!(error.contains("cutuot") && error.contains("line 2"), "{error}");
    }
}
