//! Filters and the conditions in them.

use serde::Deserialize;
use serde_json::Value;

use super::fields::{Fields, count, list, text};
use super::predicate::{self, COMPARISONS, FLAGS};
use super::{DEPTH_MAX, InvalidFilter, Parsed};
use crate::filter::{Condition, FieldCondition, Filter, Ids, MinShould};
use crate::point::{InvalidPath, Path, PointId};

const CLAUSES: [&str; 4] = ["must", "should", "must_not", "min_should"];
/// What a condition can be that looks at one thing.
const SINGLE: [&str; 5] = ["is_empty", "is_null", "has_id", "has_vector", "nested"];

/// `depth` is the level of this filter, 1 for the outermost.
pub(super) fn filter(value: &Value, depth: usize) -> Parsed<Filter> {
    if depth > DEPTH_MAX {
        return Err(InvalidFilter::new(format!(
            "filters stand in one another at most {DEPTH_MAX} deep"
        )));
    }
    let fields = Fields::of(value, "a filter", &CLAUSES)?;
    let clause = |name| -> Parsed<Vec<Condition>> {
        Ok(fields.get(name, |value| conditions(value, depth))?.unwrap_or_default())
    };
    Ok(Filter {
        must: clause("must")?,
        should: clause("should")?,
        must_not: clause("must_not")?,
        min_should: fields.get("min_should", |value| min_should(value, depth))?,
    })
}

/// One condition or a list.
fn conditions(value: &Value, depth: usize) -> Parsed<Vec<Condition>> {
    match value {
        Value::Object(_) => Ok(vec![condition(value, depth)?]),
        value => {
            list(value, "a condition or a list of conditions", |value| condition(value, depth))
        }
    }
}

fn min_should(value: &Value, depth: usize) -> Parsed<MinShould> {
    let fields = Fields::of(value, "`min_should`", &["conditions", "min_count"])?;
    let positive = |value| {
        let count = usize::try_from(count(value)?).unwrap_or(usize::MAX);
        if count == 0 {
            return Err(InvalidFilter::new("`min_count` is at least 1: 0 would match every point"));
        }
        Ok(count)
    };
    Ok(MinShould {
        conditions: fields.require("conditions", |value| conditions(value, depth))?,
        min_count: fields.require("min_count", positive)?,
    })
}

/// Which condition it is shows in the fields it has.
pub(super) fn condition(value: &Value, depth: usize) -> Parsed<Condition> {
    let given = |name: &&&str| value.get(**name).is_some_and(|value| !value.is_null());
    if value.get("key").is_some() || COMPARISONS.iter().any(|name| value.get(name).is_some()) {
        return field(value).map(Condition::Field);
    }
    let known = [&["key"][..], &COMPARISONS, &SINGLE, &CLAUSES].concat();
    let fields = Fields::of(value, "a condition", &known)?;
    let Some(name) = SINGLE.iter().find(given) else {
        return filter(value, depth + 1).map(Condition::Filter);
    };
    if let Some(other) = SINGLE.iter().chain(&CLAUSES).filter(given).find(|other| *other != name) {
        return Err(InvalidFilter::new(format!(
            "a condition is one thing, and this is `{name}` and `{other}`: write two conditions"
        )));
    }
    match *name {
        "is_empty" => fields.require(name, keyed).map(Condition::IsEmpty),
        "is_null" => fields.require(name, keyed).map(Condition::IsNull),
        "has_id" => fields.require(name, ids).map(Condition::HasId),
        "has_vector" => fields.require(name, text).map(Condition::HasVector),
        _ => fields.require(name, |value| nested(value, depth)),
    }
}

fn field(value: &Value) -> Parsed<FieldCondition> {
    let known = [&["key"][..], &COMPARISONS, &FLAGS].concat();
    let fields = Fields::of(value, "a condition on a key", &known)?;
    let key = fields.require("key", path)?;
    let predicates = predicate::of(&fields)?;
    if predicates.is_empty() {
        return Err(InvalidFilter::new(format!(
            "a condition on a key needs one of `{}`, `{}`",
            COMPARISONS.join("`, `"),
            FLAGS.join("`, `")
        )));
    }
    Ok(FieldCondition::new(key, predicates))
}

fn path(value: &Value) -> Parsed<Path> {
    text(value)?.parse().map_err(|fault: InvalidPath| InvalidFilter::new(fault.to_string()))
}

/// `{"key": …}`
fn keyed(value: &Value) -> Parsed<Path> {
    Fields::of(value, "`{\"key\": …}`", &["key"])?.require("key", path)
}

fn ids(value: &Value) -> Parsed<Ids> {
    let id = |value: &Value| {
        PointId::deserialize(value).map_err(|fault| InvalidFilter::new(fault.to_string()))
    };
    list(value, "a list of point ids", id).map(Ids::from_iter)
}

fn nested(value: &Value, depth: usize) -> Parsed<Condition> {
    let fields = Fields::of(value, "`nested`", &["key", "filter"])?;
    let key = fields.require("key", path)?;
    let filter = fields.require("filter", |value| filter(value, depth + 1))?;
    Ok(Condition::Nested { key, filter })
}
