//! The decimal sign of a file, and separators of thousands.

use super::shown;

/// The reason why a text is not a number of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadNumber {
    /// It shows that numbers before it may have been misread, or that it may be itself.
    Contradiction(String),
    /// It is none of this file.
    NotOne(String),
}

impl BadNumber {
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Contradiction(reason) | Self::NotOne(reason) => reason,
        }
    }
}

/// The decimal sign of a file, as far as its numbers show it: `0.5` and `2143,50` can only be decimals, `1,200` may be
/// one or a thousand and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    has_point: bool,
    has_comma: bool,
    /// The sign of numbers that were read as decimals although they may be thousands.
    assumed: Option<char>,
}

impl Decimal {
    /// A number with a point for its decimal sign, unless it has, or may have, separators of thousands. `has_commas` says
    /// that commas stand between the cells.
    pub(crate) fn plain(&mut self, number: &str, has_commas: bool) -> Result<String, BadNumber> {
        let signs: Vec<char> = number.chars().filter(|sign| matches!(sign, '.' | ',')).collect();
        let shown = || shown(number.as_bytes());
        let (sign, other) = match signs[..] {
            [] => return Ok(number.to_owned()),
            ['.'] => ('.', ','),
            [_] => (',', '.'),
            _ => return Err(BadNumber::NotOne(format!("{} has more than one decimal sign", shown()))),
        };
        let may_be_thousands = may_be_thousands(number, sign);
        if self.assumed == Some(other) || (may_be_thousands && self.is_known(other)) {
            let reason = other_sign(number, sign, other);
            // Where the file's sign is certain, or this number's is not, those before it were read rightly.
            let is_damage = self.is_known(other) || may_be_thousands;
            return Err(if is_damage { BadNumber::NotOne(reason) } else { BadNumber::Contradiction(reason) });
        }
        if may_be_thousands && sign == ',' && has_commas && !self.has_comma {
            return Err(BadNumber::Contradiction(format!(
                "{} may be a decimal or have a separator of thousands: write it with a point",
                shown()
            )));
        }
        if may_be_thousands {
            self.assumed = Some(sign);
        } else {
            self.learn(sign);
        }
        Ok(number.replace(',', "."))
    }

    fn is_known(&self, sign: char) -> bool {
        if sign == '.' { self.has_point } else { self.has_comma }
    }

    fn learn(&mut self, sign: char) {
        self.has_point |= sign == '.';
        self.has_comma |= sign == ',';
    }

    /// Whether commas are taken for decimal signs although they may separate thousands.
    fn assumes_commas(self) -> bool {
        self.assumed == Some(',') && !self.has_comma
    }

    /// Takes notice of a cell that need not be read, if it is a number that can only be a decimal. It may show that
    /// numbers before it were misread.
    pub(crate) fn notice(&mut self, cell: &str) -> Result<(), BadNumber> {
        let is_decimal = |sign| {
            cell.split_once(sign).is_some_and(|(whole, decimals): (&str, &str)| {
                let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                is_digits(whole.trim_start_matches(['+', '-'])) && is_digits(decimals) && !may_be_thousands(cell, sign)
            })
        };
        let (sign, other) = match (is_decimal('.'), is_decimal(',')) {
            (true, _) => ('.', ','),
            (_, true) => (',', '.'),
            _ => return Ok(()),
        };
        if self.assumed == Some(other) && !self.is_known(other) {
            return Err(BadNumber::Contradiction(other_sign(cell, sign, other)));
        }
        self.learn(sign);
        Ok(())
    }
}

/// The numbers of one column, as far as they show separators of thousands: `1,200` among `950` may be a decimal or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thousands {
    /// Numbers of three digits without a sign.
    wholes: usize,
    /// Whether there was one such as `1,200`.
    may_be_grouped: bool,
}

impl Thousands {
    /// Adds a number of the column, which `decimal` has accepted. `most_cut` is the number of wholes that may be the rest of
    /// a longer one, as `412` of `3,412` in a line that was cut.
    pub(crate) fn add(&mut self, number: &str, decimal: Decimal, most_cut: usize) -> Result<(), BadNumber> {
        let is_whole = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
        let may_be_grouped = decimal.assumes_commas() && number.contains(',');
        if (may_be_grouped && self.wholes > most_cut) || (is_whole && self.may_be_grouped && decimal.assumes_commas()) {
            let reason = format!(
                "{} is among whole numbers and numbers with a comma, which may be a decimal sign or a separator of \
                 thousands: write decimals with points, and thousands without a separator",
                shown(number.as_bytes())
            );
            return Err(if is_whole { BadNumber::NotOne(reason) } else { BadNumber::Contradiction(reason) });
        }
        self.wholes += usize::from(is_whole);
        self.may_be_grouped |= may_be_grouped;
        Ok(())
    }
}

fn other_sign(number: &str, sign: char, other: char) -> String {
    let number = shown(number.as_bytes());
    format!("{number} has `{sign}` for its decimal sign, other numbers before it have `{other}`")
}

fn may_be_thousands(number: &str, sign: char) -> bool {
    number.split_once(sign).is_some_and(|(whole, decimals)| {
        let whole = whole.trim_start_matches(['+', '-']);
        decimals.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
    })
}
