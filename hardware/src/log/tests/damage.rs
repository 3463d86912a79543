//! Journals that a killed program, a full disk or an editor has left behind.

use super::*;
use crate::log::read::{Parsed, parse};
use crate::mutation::mutated_bytes;

/// A journal with everything in it that a row can hold.
fn whole() -> Vec<u8> {
    let rows = [full_row(), Row::new(8, "b", Status::Bounded), Row { evaluation: 9, device: None, ..full_row() }];
    let (_folder, path) = new_log(&rows);
    std::fs::read(path).unwrap()
}

/// The rows in a file of their own, as they are read again.
fn written_again(rows: &[Row]) -> Vec<Row> {
    let (_folder, path) = new_log(rows);
    read(&path).unwrap()
}

#[test]
fn a_line_break_within_a_cell_is_rejected() {
    for column in ["device", "message"] {
        for line_break in ["\n", "\r", "\r\n"] {
            let error = with_cell(column, &format!("\"a{line_break}b\"")).to_string();
            assert!(error.contains(&format!("log.csv:2: column \"{column}\"")), "{error}");
            assert!(error.contains("line break"), "{error}");
        }
    }
}

proptest! {
    // Fewer cases, for each writes a file or two.
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: ProptestConfig::default().cases.div_ceil(2), ..ProptestConfig::default()
    })]

    /// Accepted rows could have been written; rejected ones are reported with file and line.
    #[test]
    fn damage_is_reported_or_leaves_rows_that_could_have_been_written(content in mutated_bytes(vec![whole()])) {
        let lines = content.split(|byte| *byte == b'\n').count() as u64;
        match parse(Path::new("log.csv"), &content) {
            Ok(Parsed { rows, torn, whole: length, .. }) => {
                prop_assert!(length <= content.len() && (length == 0 || content[length - 1] == b'\n'));
                prop_assert_eq!(torn.is_some(), length < content.len());
                prop_assert_eq!(written_again(&rows), rows);
            }
            Err(error) => {
                let line = error.to_string().split(':').nth(1).unwrap().parse().unwrap();
                prop_assert!((1..=lines).contains(&line), "{}", error);
                prop_assert!(error.to_string().starts_with("log.csv:"), "{}", error);
            }
        }
    }

    /// With any cells, quoted in any way.
    #[test]
    fn no_cells_make_it_panic(cells in prop::collection::vec("[ -~]{0,6}|\"[^\"]{0,6}\"|-?[0-9]{1,3}([.][0-9]{1,3})?(e[+-]?[0-9]{1,3})?", 18..22)) {
        let content = format!("{}\n{}\n", COLUMNS.join(","), cells.join(","));
        if let Ok(Parsed { rows, .. }) = parse(Path::new("log.csv"), content.as_bytes()) {
            prop_assert_eq!(written_again(&rows), rows);
        }
    }

    /// A kill leaves the beginning of a journal: its whole rows are there, and the file is mended.
    #[test]
    fn a_cut_journal_keeps_its_whole_rows_and_continues(rows in prop::collection::vec(any_row(), 1..5), at in any::<prop::sample::Index>()) {
        let (_folder, path) = new_log(&rows);
        let content = std::fs::read(&path).unwrap();
        let cut = &content[..at.index(content.len())];
        std::fs::write(&path, cut).unwrap();
        let kept = cut.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
        let (mut writer, found, torn) = Writer::append(&path).unwrap();
        prop_assert_eq!(&found, &rows[..kept]);
        prop_assert_eq!(torn.is_some(), !cut.is_empty() && !cut.ends_with(b"\n"));
        for row in &rows[kept..] {
            writer.write(row).unwrap();
        }
        prop_assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}
