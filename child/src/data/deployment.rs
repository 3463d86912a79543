//! The way from an image to a network's input, and from its output to a class.

use serde::{Deserialize, Serialize};

use super::{Dataset, Normalisation};
use crate::graph::Shape;

/// Everything that a deployed network needs besides its weights: how images become its input, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Name of the data set.
    pub data_set: String,
    /// Names of the classes, in the order of the logits.
    pub class_names: Vec<String>,
    /// Shape of one image.
    pub shape: Shape,
    /// Value of full intensity: 255 for most, 16 for the digits.
    pub scale: u8,
    /// Whether images of other sizes were brought to this shape.
    pub resized: bool,
    /// Whether images were decoded from image files: upright, and by luminance where they became grey.
    #[serde(default)]
    pub from_files: bool,
    /// The statistics that bring the images to mean 0 and deviation 1.
    pub normalisation: Normalisation,
}

impl Deployment {
    /// The deployment of networks that are trained on a data set with this normalisation.
    pub fn of(dataset: &Dataset, normalisation: Normalisation) -> Self {
        Self {
            data_set: dataset.name.clone(),
            class_names: dataset.class_names.clone(),
            shape: dataset.shape(),
            scale: dataset.train.images.scale,
            resized: dataset.resized,
            from_files: dataset.from_files,
            normalisation,
        }
    }

    /// Order of the colour planes.
    pub(crate) fn colour_order(&self) -> &'static str {
        match self.shape.channels {
            1 => "grey",
            3 => "RGB",
            _ => "as stored",
        }
    }

    /// Weights of red, green and blue by which coloured image files became grey, if they did; those of the image crate.
    pub(crate) fn grey_weights(&self) -> Option<&'static str> {
        (self.from_files && self.shape.channels == 1).then_some("[0.2126,0.7152,0.0722]")
    }

    /// The orientation of the images, where image files may record one.
    pub(crate) fn orientation(&self) -> Option<&'static str> {
        self.from_files.then_some("upright: the orientation that the camera recorded (EXIF) is applied")
    }

    /// How images were brought to the shape.
    pub(crate) fn resize_filter(&self) -> String {
        let Shape { height, width, .. } = self.shape;
        match self.resized {
            true => format!(
                "triangle (linear, area-weighted where it shrinks), to {width}x{height} pixels (width x height), without \
                 keeping the aspect ratio"
            ),
            false => format!("none: all images have {width}x{height} pixels (width x height)"),
        }
    }
}
