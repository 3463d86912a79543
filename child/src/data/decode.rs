//! Decoding image files to one shape.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};

use super::Images;
use crate::Error;
use crate::graph::Shape;

/// An image file and its class.
pub(super) type LabelledFile = (PathBuf, u16);

/// Channels to which images are brought; in a file, their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Channels {
    /// One channel: luminance.
    Grey = 1,
    /// Three channels: red, green, blue.
    Colour = 3,
}

impl TryFrom<u8> for Channels {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Grey),
            3 => Ok(Self::Colour),
            _ => Err(format!("images have 1 (grey) or 3 (colour) channels, not {number}")),
        }
    }
}

impl From<Channels> for u8 {
    fn from(channels: Channels) -> Self {
        channels as Self
    }
}

/// A decoder chosen by the file's content: extensions are often wrong.
pub(super) fn decoder<'a>(path: &Path, bytes: &'a [u8]) -> Result<impl ImageDecoder + 'a, Error> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::io("read", path))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(unreadable(path, "its content is neither PNG nor JPEG"));
    }
    reader.into_decoder().map_err(|error| unreadable(path, error))
}

/// Number of pixels of an image file, by its header.
pub(super) fn pixels(path: &Path) -> Result<u64, Error> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let (width, height) = decoder(path, &bytes)?.dimensions();
    Ok(u64::from(width) * u64::from(height))
}

pub(super) fn unreadable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(format_args!("the image {}", path.display()), reason)
}

/// Whether a JPEG file has its end-of-image marker. The decoder fills missing places with grey.
///
/// ITU-T T.81, annex B: segments of known length lead to the first scan; in a scan the byte FF is followed by 0 or a
/// restart number, so that FF D9 can only be the marker.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    loop {
        match bytes.get(at..at + 4) {
            Some([0xff, 0xff, ..]) => at += 1,
            Some([0xff, START_OF_SCAN, ..]) => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            Some([0xff, _, high, low]) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            // Stray bytes between two segments, which decoders pass over too.
            Some(_) => at += 1,
            None => return false,
        }
    }
}

/// Reads image after image to one shape.
pub(super) struct Reader {
    size: Option<u32>,
    channels: Channels,
    /// Shape of the first image; all others must have it.
    shape: Option<Shape>,
    /// Whether an image was brought to the size.
    resized: bool,
}

impl Reader {
    /// Images are brought to squares of `size`, or must all be of one.
    pub(super) fn new(size: Option<u32>, channels: Channels) -> Self {
        Self { size, channels, shape: None, resized: false }
    }

    /// Whether an image was brought to another size.
    pub(super) fn resized(&self) -> bool {
        self.resized
    }

    /// Decodes files in their order; calls `progress` after each.
    pub(super) fn read_all(&mut self, files: &[LabelledFile], progress: &mut dyn FnMut()) -> Result<Images, Error> {
        let (mut data, mut labels) = (Vec::new(), Vec::with_capacity(files.len()));
        let mut shape = Shape::new(0, 0, 0);
        for (path, label) in files {
            let image = self.read(path)?;
            shape = Shape::new(self.channels as usize, image.height() as usize, image.width() as usize);
            if data.capacity() == 0 {
                let bytes = files.len().saturating_mul(shape.elements());
                data.try_reserve_exact(bytes).map_err(|error| {
                    let images = format_args!("memory for {} images of shape {shape}", files.len());
                    Error::new(images, format_args!("{error}; lower `limit` or `size`"))
                })?;
            }
            let expected = *self.shape.get_or_insert(shape);
            if shape != expected {
                return Err(Error(format!(
                    "the image {} is {}x{} pixels (width x height), those before it {}x{}; \
                     set `size` to bring all to one size",
                    path.display(),
                    shape.width,
                    shape.height,
                    expected.width,
                    expected.height
                )));
            }
            match self.channels {
                Channels::Grey => data.extend_from_slice(image.into_luma8().as_raw()),
                Channels::Colour => {
                    let pixels = image.into_rgb8();
                    for channel in 0..3 {
                        data.extend(pixels.pixels().map(|pixel| pixel[channel]));
                    }
                }
            }
            labels.push(*label);
            progress();
        }
        Images::new(shape, u8::MAX, data, labels)
    }

    fn read(&mut self, path: &Path) -> Result<DynamicImage, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let mut decoder = decoder(path, &bytes)?;
        if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(&bytes) {
            return Err(unreadable(path, "the file is truncated"));
        }
        // A header may claim any size: memory above the usual limit of the decoder (512 MiB) is not allocated.
        Limits::default().reserve(decoder.total_bytes()).map_err(|error| unreadable(path, error))?;
        let orientation = decoder.orientation().map_err(|error| unreadable(path, error))?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|error| unreadable(path, error))?;
        image.apply_orientation(orientation);
        Ok(match self.size {
            Some(size) if (image.width(), image.height()) != (size, size) => {
                self.resized = true;
                image.resize_exact(size, size, FilterType::Triangle)
            }
            _ => image,
        })
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use image::codecs::jpeg::JpegEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged;

    fn read(path: &Path, channels: Channels) -> Result<Images, Error> {
        Reader::new(None, channels).read_all(&[(path.to_owned(), 0)], &mut || ())
    }

    #[test]
    fn a_truncated_jpeg_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.JPEG");
        let solid = RgbImage::from_pixel(32, 32, [200, 100, 50].into());
        solid.save(&path).unwrap();
        let image = read(&path, Channels::Colour).unwrap();
        let pixel = [0, 1024, 2048].map(|at| image.image(0)[at]);
        assert!(pixel.iter().zip([200, 100, 50]).all(|(found, value)| found.abs_diff(value) < 4), "{pixel:?}");
        let whole = fs::read(&path).unwrap();
        assert!(is_whole_jpeg(&whole) && is_whole_jpeg(&[&whole[..], b"padding"].concat()));
        for length in 2..whole.len() - 1 {
            assert!(!is_whole_jpeg(&whole[..length]), "{length} of {} bytes", whole.len());
        }
        // Behind the first segment, which begins at byte 2 with its marker and its length.
        let second = 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]]));
        let stray = [&whole[..second], b"\0", &whole[second..]].concat();
        fs::write(&path, &stray).unwrap();
        assert_eq!(read(&path, Channels::Colour).unwrap(), image);
        assert!(!is_whole_jpeg(&stray[..stray.len() - 2]));
        fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        let error = read(&path, Channels::Colour).unwrap_err().to_string();
        assert!(error.ends_with("x.JPEG: the file is truncated"), "{error}");
    }

    #[test]
    fn the_orientation_of_the_camera_is_applied() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        // A TIFF header and one entry: the orientation (tag 0112) is 6, to be turned to the right.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let half_white = RgbImage::from_fn(32, 16, |x, _| [if x < 16 { 255 } else { 0 }; 3].into());
        encoder.encode_image(&half_white).unwrap();
        // The first segment of the file (APP1) holds it.
        let segment = [b"\xff\xe1\0\x22Exif\0\0", &exif[..]].concat();
        assert_eq!((segment.len() - 2, &bytes[..2]), (0x22, &[0xff, 0xd8][..]));
        bytes.splice(2..2, segment);
        let path = dir.path().join("x.jpg");
        fs::write(&path, &bytes).unwrap();
        let images = read(&path, Channels::Grey).unwrap();
        assert_eq!(images.shape, Shape::new(1, 32, 16));
        let image = images.image(0);
        assert!(image[..16].iter().all(|value| *value > 200) && image[31 * 16..].iter().all(|value| *value < 50));
    }

    /// As the metadata of an exported model say.
    #[test]
    fn a_coloured_file_becomes_grey_by_its_luminance() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        RgbImage::from_pixel(1, 1, [200, 100, 50].into()).save(&path).unwrap();
        let luminance = 0.2126 * 200.0 + 0.7152 * 100.0 + 0.0722 * 50.0;
        assert_eq!(read(&path, Channels::Grey).unwrap().image(0), [luminance as u8]);
    }

    #[test]
    fn an_image_that_claims_to_be_huge_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        RgbImage::new(4, 4).save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        // A PNG file has width and height at byte 16, the checksum of the header at 29.
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        fs::write(&path, bytes).unwrap();
        let error = read(&path, Channels::Colour).unwrap_err().to_string();
        assert!(error.contains("a.png") && error.to_lowercase().contains("memory"), "{error}");
    }

    /// Small images of both formats, grey and coloured.
    fn files() -> Vec<Vec<u8>> {
        let colour = DynamicImage::from(RgbImage::from_fn(9, 7, |x, y| [x as u8 * 20, y as u8 * 30, 7].into()));
        let images = [colour.to_luma8().into(), colour.to_rgba16().into(), colour];
        let encoded = |format: ImageFormat| {
            images.iter().filter_map(move |image| {
                let mut bytes = Cursor::new(Vec::new());
                image.write_to(&mut bytes, format).ok().map(|()| bytes.into_inner())
            })
        };
        encoded(ImageFormat::Png).chain(encoded(ImageFormat::Jpeg)).collect()
    }

    fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        fs::write(&path, bytes).unwrap();
        for (size, channels) in [(None, Channels::Colour), (Some(5), Channels::Grey)] {
            match Reader::new(size, channels).read_all(&[(path.clone(), 3)], &mut || ()) {
                Ok(images) => {
                    let Shape { channels: found, height, width } = images.shape;
                    prop_assert_eq!(found, channels as usize);
                    prop_assert!(size.is_none_or(|size| (height, width) == (size as usize, size as usize)));
                    prop_assert_eq!(images.image(0).len(), images.shape.elements());
                }
                Err(error) => prop_assert!(error.to_string().contains("a.png: "), "{}", error),
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_images_have_the_requested_shape_or_are_named_in_an_error(bytes in damaged(files())) {
            check(&bytes)?;
        }

        /// Otherwise the checksums of a PNG file reject damaged chunks before they are decoded.
        #[test]
        fn damaged_chunks_with_right_checksums_are_read_or_named_in_an_error(bytes in damaged(files()[..3].to_vec())) {
            check(&with_right_checksums(bytes))?;
        }

        #[test]
        fn files_that_only_begin_as_images_are_named_in_an_error(
            start in prop::sample::select(vec![b"\x89PNG\r\n\x1a\n".to_vec(), b"\xff\xd8\xff\xe0".to_vec(), b"\xff\xd8".to_vec(), Vec::new()]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let whole = [start, rest].concat();
            let _ = is_whole_jpeg(&whole);
            check(&whole)?;
        }
    }

    fn with_right_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
        let mut at = 8;
        while let Some(length) =
            bytes.get(at..at + 4).and_then(|length| Some(u32::from_be_bytes(length.try_into().ok()?) as usize))
        {
            let Some(chunk) = bytes.get(at + 4..at + 8 + length) else { break };
            let mut checksum = flate2::Crc::new();
            checksum.update(chunk);
            let end = at + 8 + length;
            let Some(place) = bytes.get_mut(end..end + 4) else { break };
            place.copy_from_slice(&checksum.sum().to_be_bytes());
            at = end + 4;
        }
        bytes
    }
}
