//! Logs that were edited, or that other programs write in their ways.

use proptest::prelude::*;

use super::*;
use crate::mutation::mutated;

const COLUMNS: &str = "architecture = \"net\"\naccuracy = { column = \"top1\", unit = \"percent\" }\n\
                       time = { column = \"t\", unit = \"us\" }\ntime_std = { column = \"sd\", unit = \"ns\" }\n\
                       energy = { column = \"e\", unit = \"j\" }\ndevice = \"where\"\nstatus = \"status\"\n";
const LOG: &str = "net,top1,t,sd,e,where,size,status\na,87.5,2500,5e3,0.25,tx2,1e6,ok\nb,0,1,,,,,ok\n\
                   a,86,2400,,0.5,tx2,1000001,ok\n\"c, d\",,3.5,0,0,\"on \"\"it\"\"\",,ok\ne,,,,,,,failed\n";

fn columns() -> Columns {
    toml::from_str(COLUMNS).unwrap()
}

/// Whether a device, or a mean of its measurements, could have each number.
fn is_sound(record: &Row) -> bool {
    let not_negative = |value: Option<f64>| value.is_none_or(|value| value.is_finite() && value >= 0.0);
    record.accuracy.is_none_or(|accuracy| (0.0..=1.0).contains(&accuracy))
        && record.time_ms.is_none_or(|time| time.is_finite() && time > 0.0)
        && [record.time_ms_std, record.energy_mj, record.energy_mj_std].into_iter().all(not_negative)
        && !record.architecture.is_empty()
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count() as u64;
    match load_with(text, &columns()) {
        Ok(table) => {
            prop_assert!(!table.rows().is_empty());
            for record in table.rows() {
                prop_assert!(is_sound(record), "{:?}", record);
                prop_assert_eq!(table.get(&record.architecture), Some(record));
            }
        }
        Err(error) => {
            let error = error.to_string();
            prop_assert!(error.contains("log.csv"), "{}", error);
            // Errors of the whole file have no line.
            if let Some((_, place)) = error.split_once("log.csv:").filter(|(_, place)| !place.starts_with(' ')) {
                let line: u64 = place.split(':').next().unwrap().parse().unwrap();
                prop_assert!((1..=lines).contains(&line), "{}", error);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_logs_give_sound_records_or_an_error_with_its_place(text in mutated(&[LOG])) {
        check(&text)?;
    }

    /// Numbers of every size, several of one architecture.
    #[test]
    fn any_numbers_give_sound_records_or_an_error_with_its_place(
        rows in prop::collection::vec(("[ab]", prop::collection::vec("-?[0-9]{1,3}([.][0-9]{1,2})?|[1-9]e-?3[0-9]{2}|0|", 4), "(ok|failed|Ok)?"), 1..6),
    ) {
        let line = |(name, numbers, status): &(String, Vec<String>, String)| format!("{name},{},tx2,7,{status}\n", numbers.join(","));
        check(&format!("net,top1,t,sd,e,where,size,status\n{}", rows.iter().map(line).collect::<String>()))?;
    }

    #[test]
    fn damaged_columns_are_rejected_or_read_back(text in mutated(&[COLUMNS])) {
        if let Ok(columns) = toml::from_str::<Columns>(&text) {
            prop_assert_eq!(toml::from_str::<Columns>(&toml::to_string(&columns).unwrap()), Ok(columns.clone()));
            let _ = load_with(LOG, &columns).map_err(|error| error.to_string());
        }
    }
}
