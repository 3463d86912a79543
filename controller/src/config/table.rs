//! Settings as a table of TOML, and back.
//!
//! Both ways lead through text. serde's code for every type of settings is then compiled once for reading and once for
//! writing, and not for text and for tables.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

/// The table of settings.
///
/// # Errors
/// If they have no TOML, such as a number beyond 64 bits.
pub(crate) fn of<T: Serialize>(settings: &T) -> anyhow::Result<Table> {
    Ok(toml::to_string(settings)?.parse()?)
}

/// The settings of a table.
///
/// # Errors
/// Without a place: text that is made from a table has none that a user knows.
pub(crate) fn read<T: DeserializeOwned>(table: &Table) -> Result<T, toml::de::Error> {
    toml::from_str(&table.to_string())
}
