//! Dates, as microseconds since 1970.
//!
//! Every form that Qdrant takes is taken. Anything finer than a microsecond is cut off, as it
//! is in Qdrant's index of dates, so an answer does not depend on there being an index.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat};

/// RFC 3339 without its colon in the offset, or with a space in place of the `T`.
const WITH_OFFSET: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
/// Without a zone: UTC.
const WITHOUT_OFFSET: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// Microseconds since 1970-01-01T00:00:00Z, or `None` if the text is no date.
pub fn parse(text: &str) -> Option<i64> {
    with_offset(text)
        .map(|date| date.timestamp_micros())
        .or_else(|| without_offset(text).map(|date| date.and_utc().timestamp_micros()))
}

fn with_offset(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| text.parse())
        .ok()
        .or_else(|| WITH_OFFSET.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()))
}

fn without_offset(text: &str) -> Option<NaiveDateTime> {
    WITHOUT_OFFSET
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(NaiveDateTime::from))
}

/// RFC 3339 in UTC; `None` if the moment lies beyond what [`parse`] can answer.
pub fn format(microseconds: i64) -> Option<String> {
    let date = DateTime::from_timestamp_micros(microseconds)?;
    Some(date.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
