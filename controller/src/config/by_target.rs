//! Values of an experiment that targets may have of their own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::objective::{Bounds, Objective};
use crate::pareto::Given;

/// Values by objective for all targets, and others for single ones: `time_ms = 30`, and in a table of its own
/// `tx2.time_ms = 4`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ByTarget<T> {
    /// Those of all targets.
    pub all: T,
    /// By target, those that take their place.
    pub of: BTreeMap<String, T>,
}

impl<T> ByTarget<T> {
    /// The same for all targets.
    pub fn of_all(all: T) -> Self {
        Self { all, of: BTreeMap::new() }
    }
}

impl ByTarget<Bounds> {
    /// The bounds of a target.
    pub fn of(&self, target: &str) -> Bounds {
        self.of.get(target).map_or_else(|| self.all.clone(), |own| self.all.overridden_by(own))
    }
}

impl ByTarget<Given> {
    /// The coordinates of a target.
    pub fn of(&self, target: &str) -> Given {
        let mut given = self.all.clone();
        given.extend(self.of.get(target).into_iter().flatten().map(|(objective, value)| (*objective, *value)));
        given
    }

    /// Whether all lists are empty.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of.values().all(BTreeMap::is_empty)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The values of one target in a [`ByTarget`].
pub trait ByObjective {
    /// Its values.
    fn by_objective(&self) -> &BTreeMap<Objective, f64>;
}

impl ByObjective for Given {
    fn by_objective(&self) -> &BTreeMap<Objective, f64> {
        self
    }
}

impl ByObjective for Bounds {
    fn by_objective(&self) -> &BTreeMap<Objective, f64> {
        self.as_map()
    }
}

impl<T: ByObjective> Serialize for ByTarget<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (objective, value) in self.all.by_objective() {
            map.serialize_entry(objective, value)?;
        }
        for (target, values) in self.of.iter().filter(|(_, values)| !values.by_objective().is_empty()) {
            map.serialize_entry(target, values.by_objective())?;
        }
        map.end()
    }
}

impl<'de, T> Deserialize<'de> for ByTarget<T>
where
    T: TryFrom<BTreeMap<Objective, f64>>,
    T::Error: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut all, mut of) = (BTreeMap::new(), BTreeMap::new());
        let read = |values| T::try_from(values).map_err(D::Error::custom);
        for (name, entry) in BTreeMap::<String, Entry>::deserialize(deserializer)? {
            match entry {
                Entry::Value(value) => {
                    all.insert(name.parse().map_err(D::Error::custom)?, value);
                }
                Entry::Target(values) => {
                    of.insert(name, read(values)?);
                }
            }
        }
        Ok(Self { all: read(all)?, of })
    }
}

/// A value of all targets, or those of one.
enum Entry {
    Value(f64),
    Target(BTreeMap<Objective, f64>),
}

// By hand, because what serde derives answers every mistake with "did not match any variant".
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrTable;

        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a table with the numbers of one target")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Entry, E> {
                Ok(Entry::Value(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Entry, E> {
                Ok(Entry::Value(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Entry, E> {
                Ok(Entry::Value(value as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Entry::Target)
            }
        }

        deserializer.deserialize_any(NumberOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_one_target_come_before_those_of_all() {
        let bounds: ByTarget<Bounds> = toml::from_str("time_ms = 30\nerror = 0.2\n[tx2]\ntime_ms = 4.5\n").unwrap();
        assert_eq!(bounds.of("tx2").get(Objective::Time), Some(4.5));
        assert_eq!(
            (bounds.of("tx2").get(Objective::Error), bounds.of("ncs").get(Objective::Time)),
            (Some(0.2), Some(30.0))
        );
        assert_eq!(toml::from_str::<ByTarget<Bounds>>(&toml::to_string(&bounds).unwrap()).unwrap(), bounds);
        for (text, expected) in [
            ("time = 3", "did you mean `time_ms`"),
            ("time_ms = 'x'", "a number, or a table"),
            ("tx2 = { time_ms = -1 }", "must be positive"),
            ("tx2 = { latency = 1 }", "did you mean `time_ms`"),
        ] {
            let message = toml::from_str::<ByTarget<Bounds>>(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
