use proptest::prelude::*;

use super::datetime::{format, parse};
use super::*;

const SECOND: i64 = 1_000_000;

#[test]
fn every_form_of_a_date_is_read() {
    let new_year = 1_577_836_800 * SECOND;
    for (text, expected) in [
        ("2020-01-01T00:00:00Z", new_year),
        ("2020-01-01t00:00:00z", new_year),
        ("2020-01-01 00:00:00Z", new_year),
        ("2020-01-01T00:00:00+00:00", new_year),
        ("2020-01-01T02:00:00+02:00", new_year),
        ("2020-01-01T02:00:00+0200", new_year),
        ("2020-01-01T02:00:00+02", new_year),
        ("2020-01-01 02:00:00+0200", new_year),
        ("2019-12-31T18:30:00-05:30", new_year),
        ("2020-01-01 00:00:00 UTC", new_year),
        ("2020-01-01T00:00:00", new_year),
        ("2020-01-01 00:00:00", new_year),
        ("2020-01-01T00:00", new_year),
        ("2020-01-01 00:00", new_year),
        ("2020-01-01", new_year),
        ("2020-01-01T00:00:00.5Z", new_year + SECOND / 2),
        ("2020-01-01T00:00:00.000001", new_year + 1),
        // Finer than a microsecond is cut off.
        ("2020-01-01T00:00:00.000001999Z", new_year + 1),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
    ] {
        assert_eq!(parse(text), Some(expected), "{text}");
    }
    for bad in ["", "2020", "2020-13-01", "2020-02-30", "12:00", "01/02/2020", "1577836800", "now"]
    {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn dates_are_compared_as_moments() {
    let range = json!({"range": {"gte": "2020-01-01T00:00:00+01:00", "lt": "2020-02-01"}});
    for (value, expected) in [
        (json!("2019-12-31T23:00:00Z"), true),
        (json!("2019-12-31T22:59:59Z"), false),
        (json!("2020-01-31 23:59"), true),
        (json!("2020-02-01"), false),
        (json!(["1999-01-01", "2020-01-15"]), true),
        (json!(["1999-01-01", "2030-01-15"]), false),
        (json!(1577836800), false),
        (json!("soon"), false),
    ] {
        assert_eq!(holds_for(&range, &value), expected, "{value}");
    }
}

proptest! {
    /// Over all moments that a calendar of six-digit years has.
    #[test]
    fn a_date_is_read_as_it_is_written(moment in -8_000_000_000_000_000_000..8_000_000_000_000_000_000_i64) {
        let written = format(moment).unwrap();
        prop_assert_eq!(parse(&written), Some(moment), "{}", written);
    }
}

#[test]
fn a_moment_beyond_the_calendar_is_not_written() {
    assert_eq!(format(i64::MAX), None);
    let range = Predicate::DatetimeRange(Range { lt: Some(i64::MAX), ..Range::default() });
    let condition = FieldCondition::new("a".parse().unwrap(), vec![range]);
    assert!(serde_json::to_string(&condition).is_err());
}
