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
///
/// # Errors
/// If the embedded table is damaged.
pub(super) fn load() -> Result<Dataset, Error> {
    let images = parse(GzDecoder::new(TABLE))?;
    Dataset::new("digits", (0..CLASSES).map(|digit| digit.to_string()).collect(), images, None, None)
}

/// Reads rows of 64 values and a label.
fn parse(table: impl std::io::Read) -> Result<Images, Error> {
    let wrong = |line: u64, column: usize, reason: String| {
        Error::new(format_args!("digits, line {line}, column {column}"), reason)
    };
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(table);
    for (row, line) in rows.records().zip(1..) {
        let row = row.map_err(|error| wrong(line, 1, error.to_string()))?;
        if row.len() != SHAPE.elements() + 1 {
            let reason = format!("expected {} values and the digit, found {}", SHAPE.elements(), row.len());
            return Err(wrong(line, row.len(), reason));
        }
        for (text, column) in row.iter().zip(1..) {
            let is_label = column > SHAPE.elements();
            let highest = if is_label { CLASSES - 1 } else { SCALE };
            match text.parse::<u8>() {
                Ok(label) if is_label && label <= highest => labels.push(u16::from(label)),
                Ok(value) if value <= highest => data.push(value),
                _ => return Err(wrong(line, column, format!("expected a number from 0 to {highest}, found {text:?}"))),
            }
        }
    }
    Images::new(SHAPE, SCALE, data, labels)
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

    #[test]
    fn a_damaged_table_is_an_error_with_its_place() {
        let good = format!("{}7\n", "3,".repeat(64));
        assert!(parse(good.as_bytes()).is_ok());
        let error = |table: String| parse(table.as_bytes()).unwrap_err().to_string();
        assert!(error(format!("{good}{}7\n", "3,".repeat(63))).starts_with("digits, line 2, column 64: expected 64"));
        assert!(
            error(format!("{}17,3,7\n", "3,".repeat(62))).contains("line 1, column 63: expected a number from 0 to 16")
        );
        assert!(error(format!("{}10\n", "3,".repeat(64))).contains("column 65: expected a number from 0 to 9"));
        assert!(error(format!("{}\n", "3,".repeat(64))).contains("found \"\""));
        assert!(parse(GzDecoder::new(&TABLE[..30_000])).is_err());
    }

    /// Line and column that an error names.
    fn place(error: &str) -> Option<(usize, usize)> {
        let (line, rest) = error.strip_prefix("digits, line ")?.split_once(", column ")?;
        let (column, _) = rest.split_once(':')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    }

    fn table() -> Vec<u8> {
        (0..4).map(|digit| format!("{}{digit}\n", "3,16,".repeat(32))).collect::<String>().into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_tables_give_digits_or_an_error_with_its_place(bytes in damaged(vec![table()])) {
            match parse(&bytes[..]) {
                Ok(images) => {
                    prop_assert!(images.labels.iter().all(|label| *label < u16::from(CLASSES)));
                    prop_assert!((0..images.len()).all(|image| images.image(image).iter().all(|value| *value <= SCALE)));
                }
                Err(error) => {
                    let error = error.to_string();
                    match place(&error) {
                        Some((line, column)) => {
                            prop_assert!(line <= 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count());
                            prop_assert!(column >= 1);
                        }
                        None => prop_assert!(error.contains("0 images"), "{}", error),
                    }
                }
            }
        }
    }
}
