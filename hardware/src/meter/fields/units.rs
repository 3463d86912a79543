//! Units of a meter's numbers.

use serde::{Deserialize, Serialize};

/// Unit of a power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerUnit {
    /// Kilowatts.
    #[serde(alias = "kW")]
    Kw,
    /// Watts.
    #[serde(alias = "W")]
    W,
    /// Milliwatts.
    #[serde(alias = "mW")]
    Mw,
    /// Microwatts.
    #[serde(alias = "uW", alias = "µW", alias = "μW")]
    Uw,
    /// Nanowatts.
    #[serde(alias = "nW")]
    Nw,
}

/// Unit of a voltage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoltageUnit {
    /// Volts.
    #[serde(alias = "V")]
    V,
    /// Millivolts.
    #[serde(alias = "mV")]
    Mv,
    /// Microvolts.
    #[serde(alias = "uV", alias = "µV", alias = "μV")]
    Uv,
}

/// Unit of a current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrentUnit {
    /// Amperes.
    #[serde(alias = "A")]
    A,
    /// Milliamperes.
    #[serde(alias = "mA")]
    Ma,
    /// Microamperes.
    #[serde(alias = "uA", alias = "µA", alias = "μA")]
    Ua,
    /// Nanoamperes.
    #[serde(alias = "nA")]
    Na,
}

/// Unit of a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampUnit {
    /// Seconds since an arbitrary instant.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// Date and time: `2026-03-01T12:00:00.25Z`. Without an offset it is local time of this machine; a time of day alone
    /// is that of today.
    #[serde(alias = "date")]
    Rfc3339,
}

/// The quantity of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Power,
    Voltage,
    Current,
}

/// A unit: a quantity and a power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    quantity: Quantity,
    exponent: i32,
}

impl Quantity {
    fn letter(self) -> char {
        match self {
            Self::Power => 'w',
            Self::Voltage => 'v',
            Self::Current => 'a',
        }
    }

    /// The unit of a symbol, as `mW` or `µA`; `None` for that of another quantity.
    pub fn unit(self, symbol: &str) -> Option<Unit> {
        let symbol = symbol.to_lowercase().replace(['µ', 'μ'], "u");
        let exponent = match symbol.strip_suffix(self.letter())? {
            "k" => 3,
            "" => 0,
            "m" => -3,
            "u" => -6,
            "n" => -9,
            _ => return None,
        };
        Some(Unit { quantity: self, exponent })
    }

    /// The unit in a column's name: `Power (mW)`, `ibus_µA`, `power.draw [W]`.
    pub fn unit_in(self, name: &str) -> Option<Unit> {
        match in_brackets(name) {
            Some((_, unit)) => self.unit(unit),
            // A letter alone may be the name of a channel.
            None => name.rsplit_once('_').filter(|(_, unit)| unit.chars().count() == 2).and_then(|(_, u)| self.unit(u)),
        }
    }
}

impl Unit {
    pub fn quantity(self) -> Quantity {
        self.quantity
    }

    /// The value of one unit in mW, mW/A or A.
    pub fn factor(self) -> f64 {
        let in_thousandths = if self.quantity == Quantity::Current { 0 } else { 3 };
        // Literals, since powers that are computed are not exact.
        match self.exponent + in_thousandths {
            6 => 1e6,
            3 => 1e3,
            0 => 1.0,
            -3 => 1e-3,
            -6 => 1e-6,
            exponent => 10f64.powi(exponent),
        }
    }

    /// Its symbol, as an experiment file has it.
    pub fn symbol(self) -> String {
        let prefix = match self.exponent {
            3 => "k",
            -3 => "m",
            -6 => "u",
            -9 => "n",
            _ => "",
        };
        format!("{prefix}{}", self.quantity.letter())
    }
}

impl From<PowerUnit> for Unit {
    fn from(unit: PowerUnit) -> Self {
        let exponent = match unit {
            PowerUnit::Kw => 3,
            PowerUnit::W => 0,
            PowerUnit::Mw => -3,
            PowerUnit::Uw => -6,
            PowerUnit::Nw => -9,
        };
        Self { quantity: Quantity::Power, exponent }
    }
}

impl From<VoltageUnit> for Unit {
    fn from(unit: VoltageUnit) -> Self {
        let exponent = match unit {
            VoltageUnit::V => 0,
            VoltageUnit::Mv => -3,
            VoltageUnit::Uv => -6,
        };
        Self { quantity: Quantity::Voltage, exponent }
    }
}

impl From<CurrentUnit> for Unit {
    fn from(unit: CurrentUnit) -> Self {
        let exponent = match unit {
            CurrentUnit::A => 0,
            CurrentUnit::Ma => -3,
            CurrentUnit::Ua => -6,
            CurrentUnit::Na => -9,
        };
        Self { quantity: Quantity::Current, exponent }
    }
}

/// A name and the text in the brackets behind it.
pub(super) fn in_brackets(name: &str) -> Option<(&str, &str)> {
    let name = name.trim();
    let (bare, unit) = match name.strip_suffix(']') {
        Some(rest) => rest.rsplit_once('[')?,
        None => name.strip_suffix(')')?.rsplit_once('(')?,
    };
    Some((bare.trim(), unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_a_prefix_and_a_letter() {
        let factor = |quantity: Quantity, symbol| quantity.unit(symbol).map(Unit::factor);
        assert_eq!(factor(Quantity::Power, "kW"), Some(1e6));
        assert_eq!(factor(Quantity::Power, "µW"), Some(1e-3));
        assert_eq!(factor(Quantity::Voltage, "uV"), Some(1e-3));
        assert_eq!(factor(Quantity::Current, "mA"), Some(1e-3));
        assert_eq!(factor(Quantity::Current, "V"), None);
        assert_eq!(factor(Quantity::Power, "Wh"), None);
        assert_eq!(Unit::from(PowerUnit::Nw).symbol(), "nw");
    }

    #[test]
    fn a_name_may_contain_its_unit() {
        let unit = |quantity: Quantity, name| quantity.unit_in(name).map(Unit::symbol);
        assert_eq!(unit(Quantity::Power, "power.draw [W]").as_deref(), Some("w"));
        assert_eq!(unit(Quantity::Current, "Current(uA)").as_deref(), Some("ua"));
        assert_eq!(unit(Quantity::Voltage, "vbus_µV").as_deref(), Some("uv"));
        assert_eq!(unit(Quantity::Current, "channel_a"), None);
        assert_eq!(unit(Quantity::Power, "P"), None);
    }
}
