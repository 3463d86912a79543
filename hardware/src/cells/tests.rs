use super::*;

fn lines(text: &str) -> Vec<(u64, usize)> {
    let mut rows = Rows::new(text.as_bytes(), Separator::Comma);
    let mut found = Vec::new();
    while let Some((line, record)) = rows.next().unwrap() {
        found.push((line, record.len()));
    }
    found
}

#[test]
fn lines_are_right_behind_empty_lines_and_quoted_breaks() {
    assert_eq!(lines("a,b\n1,2\n"), [(1, 2), (2, 2)]);
    assert_eq!(lines("a,b\n\n\r\n1,2,3\n"), [(1, 2), (4, 3)]);
    assert_eq!(lines("a,b\r\n\"x\ny\",2\r\n1,2"), [(1, 2), (2, 2), (4, 2)]);
}

#[test]
fn a_quote_that_stays_open_is_an_error_on_its_line() {
    let open = |text: &str| {
        let mut rows = Rows::new(text.as_bytes(), Separator::Comma);
        loop {
            match rows.next() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(BadRow { line, reason }) => return Some((line, reason.contains("not closed"))),
            }
        }
    };
    for (text, line) in [
        ("a,b\n1,\"fast\n2,slow\n3,slow\n", 2),
        ("a,b\r\n\r\n\"x\r\ny\",\"2", 4),
        ("\u{feff}\"a,b\n", 1),
        ("a,b\n1,\"\"\"", 2),
        ("\"", 1),
    ] {
        assert_eq!(open(text), Some((line, true)), "{text:?}");
    }
    for text in ["a,b\n1,\"2\"", "a\n\"say \"\"so\"\"\"\n", "a\n5\" pipe\n", "a,\"b\nc\"\r\n", ""] {
        assert_eq!(open(text), None, "{text:?}");
    }
}

#[test]
fn numbers_are_finite_or_missing() {
    assert_eq!(number(b" 1.5 "), Ok(Some(1.5)));
    assert_eq!(number(b"  "), Ok(None));
    for bad in ["nan", "inf", "-infinity", "1e999", "1,5", "n/a", "0x10"] {
        assert!(number(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(number(b"\xff").unwrap_err().contains("UTF-8"));
}

#[test]
fn bounds_hold() {
    assert!(positive(Some(0.0)).is_err());
    assert_eq!(not_negative(Some(0.0)), Ok(Some(0.0)));
    assert!(not_negative(Some(-0.1)).is_err());
    assert_eq!(between_zero_and(Some(1.0), 1.0), Ok(Some(1.0)));
    assert!(between_zero_and(Some(1.0001), 1.0).is_err());
    assert_eq!(count(b"12"), Ok(Some(12)));
    assert!(count(b"12.0").is_err());
    assert!(count(b"-1").is_err());
}

#[test]
fn the_separator_is_that_of_the_line_outside_quotes() {
    let of = |line: &str| Separator::Auto.of(line, false);
    assert_eq!(of("t;P, W"), Separator::Semicolon);
    assert_eq!(of("t\tP, W"), Separator::Tab);
    assert_eq!(of("\"a;b\",c"), Separator::Comma);
    assert_eq!(of("Zeit Watt"), Separator::Blanks);
    assert_eq!(of("0,05 3,41"), Separator::Blanks);
    assert_eq!((of("3,41"), Separator::Auto.of("3,41", true)), (Separator::Comma, Separator::Blanks));
    assert_eq!(Separator::Tab.of("a;b", false), Separator::Tab);
}

#[test]
fn commas_are_decimal_signs_also_beside_units_and_labels() {
    use Separator::{Blanks, Comma};
    for (line, has_one, expected) in [
        ("3,41 W", true, Blanks),
        ("3,41W", true, Blanks),
        ("3,4100E+0", true, Blanks),
        ("5,02 V 0,2 A", false, Blanks),
        ("energy-rate:   7,644 W", false, Blanks),
        ("0:00 -> Power: 3,41 W", false, Blanks),
        ("0,5 W", false, Comma),
        ("0, 45.30 W", true, Comma),
        ("12:00:00,45 W", false, Comma),
    ] {
        assert_eq!(Separator::Auto.of(line, has_one), expected, "{line}");
        assert!(!Separator::Auto.is_unclear(line, has_one), "{line}");
    }
    for line in ["12:00:00 3,41 W", "0.5 3,41", "Power 3,41 W"] {
        assert!(Separator::Auto.is_unclear(line, false) && !Comma.is_unclear(line, false), "{line}");
    }
}

#[test]
fn quotes_keep_separators_within_a_cell() {
    assert_eq!(Separator::Comma.cells("1,\"a, \"\"b\"\"\", 0.5 ,"), ["1", "a, \"b\"", "0.5", ""]);
    assert_eq!(Separator::Semicolon.cells("0;\"2,5\""), ["0", "2,5"]);
    assert_eq!(Separator::Blanks.cells(" 1  \"2\"\t3"), ["1", "2", "3"]);
}

#[test]
fn numbers_that_contradict_each_other_are_rejected() {
    let read = |numbers: &[&str], has_commas: bool| {
        let mut decimal = Decimal::default();
        let plain = |number: &&str| decimal.plain(number, has_commas).map_err(BadNumber::into_reason);
        numbers.iter().map(plain).collect::<Result<Vec<_>, _>>()
    };
    for numbers in [&["7", "1,200", "1,5"][..], &["3,41", "1,200"], &["0.0", "2143,50", "0.5"]] {
        let expected: Vec<String> = numbers.iter().map(|number| number.replace(',', ".")).collect();
        assert_eq!(read(numbers, false), Ok(expected));
    }
    for numbers in [["1,200", "0.0"], ["0.0", "1,200"], ["5.807", "3,41"], ["3,41", "5.807"]] {
        let error = read(&numbers, false).unwrap_err();
        assert!(error.contains("for its decimal sign, other numbers before it have"), "{error}");
    }
    let mut decimal = Decimal::default();
    ["2026.03.01", "1.200", "FW 1.2", "0.0"].iter().for_each(|cell| decimal.notice(cell).unwrap());
    assert!(decimal.plain("1,200", false).is_err(), "by a cell that is not read");
    let mut decimal = Decimal::default();
    decimal.plain("1.200", false).unwrap();
    assert!(matches!(decimal.notice("0,5"), Err(BadNumber::Contradiction(reason)) if reason.contains("decimal sign")));
    decimal.notice("0.5").unwrap();
    assert_eq!(decimal.notice("0,5"), Ok(()), "1.200 was read rightly");
    assert!(read(&["1.234,5"], false).unwrap_err().contains("more than one decimal sign"));
    assert!(read(&["1,200"], true).unwrap_err().contains("separator of thousands"));
    assert_eq!(read(&["0,200", "1,200"], true), Ok(vec!["0.200".to_owned(), "1.200".to_owned()]));
}

#[test]
fn files_that_are_no_text_are_named() {
    for (content, name) in [
        (&b"PK\x03\x04abc"[..], "a workbook"),
        (b"\xff\xfet\0i\0", "UTF-16"),
        (b"t,P\n\0\0\0\n", "NUL bytes"),
        (b"t,P\r1,2\r", "carriage returns"),
        (b"t\0,\0P\0\r\0\n\0", "UTF-16"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\n<!DOCTYPE html>", "web page"),
    ] {
        assert!(disguise(content).unwrap().contains(name), "{name}");
    }
    for content in [&b"t,P\r\n1,2\r\n"[..], b"t,P\r"] {
        assert_eq!(disguise(content), None);
    }
}
