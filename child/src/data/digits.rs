//! The handwritten digits that ship inside the program: 1,797 grey images of 8×8 pixels.
//!
//! E. Alpaydin and C. Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository,
//! <https://doi.org/10.24432/C50P49>, CC BY 4.0, as distributed with scikit-learn.

use flate2::read::GzDecoder;

use super::{Dataset, Images};
use crate::Error;
use crate::graph::Shape;

const TABLE: &[u8] = include_bytes!("../../assets/digits.csv.gz");
const SHAPE: Shape = Shape::new(1, 8, 8);
const SCALE: u8 = 16;
const CLASSES: u8 = 10;

/// The digits, all of them for training, without a test part.
pub(super) fn load() -> Result<Dataset, Error> {
    dataset(GzDecoder::new(TABLE))
}

/// Reads rows of 64 values and a label.
fn dataset(table: impl std::io::Read) -> Result<Dataset, Error> {
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for row in csv::ReaderBuilder::new().has_headers(false).from_reader(table).into_deserialize::<Vec<u8>>() {
        let mut row = row.map_err(|error| Error::new("the digits", error))?;
        labels.extend(row.pop().map(u16::from));
        data.extend(row);
    }
    let images = Images::new(SHAPE, SCALE, data, labels)?;
    Dataset::new("digits", (0..CLASSES).map(|digit| digit.to_string()).collect(), images, None, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged;

    #[test]
    fn the_digits_equal_those_of_the_source() {
        let digits = load().unwrap();
        assert_eq!((digits.train.len(), digits.classes(), digits.shape()), (1797, 10, SHAPE));
        assert_eq!(digits.train.class_counts(10), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let zero = digits.train.images.image(0);
        assert_eq!(zero[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
        assert_eq!(zero[56..], [0, 0, 6, 13, 10, 0, 0, 0]);
        assert_eq!(digits.train.labels().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    fn row(digit: impl std::fmt::Display) -> String {
        format!("{}{digit}\n", "3,16,".repeat(32))
    }

    /// Every digit once.
    fn table() -> String {
        (0..CLASSES).map(row).collect()
    }

    #[test]
    fn a_damaged_table_is_an_error_with_its_place() {
        let good = table();
        assert!(dataset(good.as_bytes()).is_ok());
        let error = |line: &str| dataset(format!("{good}{line}").as_bytes()).unwrap_err().to_string();
        for (line, expected) in [
            (format!("{}7\n", "3,".repeat(63)), "line: 11, byte: 1620): found record with 64 fields"),
            (format!("{}17,3,7\n", "3,".repeat(62)), "image 10 has the value 17, above the scale 16"),
            (row(10), "there is an image with the label 10, but only 10 classes"),
            (row(""), "line: 11, byte: 1620): field 64"),
            (row("x"), "line: 11, byte: 1620): field 64"),
        ] {
            assert!(error(&line).contains(expected), "{}", error(&line));
        }
        assert!(dataset(GzDecoder::new(&TABLE[..30_000])).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_tables_give_digits_or_an_error_with_its_place(bytes in damaged(vec![table().into_bytes()])) {
            match dataset(&bytes[..]) {
                Ok(digits) => {
                    let images = &digits.train.images;
                    prop_assert!(images.labels.iter().all(|label| *label < u16::from(CLASSES)));
                    prop_assert!((0..images.len()).all(|image| images.image(image).iter().all(|value| *value <= SCALE)));
                }
                Err(error) => {
                    let error = error.to_string();
                    prop_assert!(error.starts_with("the digits: ") || error.starts_with("the data set "), "{}", error);
                    if let Some((_, rest)) = error.split_once("(line: ") {
                        let line: usize = rest.split(',').next().unwrap().parse().unwrap();
                        prop_assert!(line <= 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count());
                    }
                }
            }
        }
    }
}
