//! Fields that a newer client may send and this version does not know.
//!
//! A protobuf reader passes over them. Of a clause of a filter, a bound of a range or a mode of an
//! upsert that would silently change more points than were meant, so they are looked for.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::operation::{Reason, Refusal};

/// A message's fields by number; with the shape of those that are looked into.
pub struct Shape {
    name: &'static str,
    fields: &'static [(u32, Option<&'static Shape>)],
}

macro_rules! shapes {
    ($($id:ident = $name:literal { $($tag:literal $(=> $inner:ident)?),* $(,)? })*) => {
        $(pub static $id: Shape = Shape {
            name: $name,
            fields: &[$(($tag, shapes!(@inner $($inner)?))),*],
        };)*
    };
    (@inner) => { None };
    (@inner $inner:ident) => { Some(&$inner) };
}

shapes! {
    UPSERT_POINTS = "UpsertPoints" { 1, 2, 3 => POINT, 4, 5, 6, 7, 8 }
    DELETE_POINTS = "DeletePoints" { 1, 2, 3 => SELECTOR, 4, 5, 6 }
    UPDATE_POINT_VECTORS = "UpdatePointVectors" { 1, 2, 3 => POINT_VECTORS, 4, 5, 6, 7 }
    DELETE_POINT_VECTORS = "DeletePointVectors" { 1, 2, 3 => SELECTOR, 4, 5, 6, 7 }
    SET_PAYLOAD_POINTS = "SetPayloadPoints" { 1, 2, 3, 5 => SELECTOR, 6, 7, 8, 9 }
    DELETE_PAYLOAD_POINTS = "DeletePayloadPoints" { 1, 2, 3, 5 => SELECTOR, 6, 7, 8 }
    CLEAR_PAYLOAD_POINTS = "ClearPayloadPoints" { 1, 2, 3 => SELECTOR, 4, 5, 6 }
    UPDATE_BATCH_POINTS = "UpdateBatchPoints" { 1, 2, 3 => UPDATE, 4, 5 }

    UPDATE = "PointsUpdateOperation" {
        1 => POINT_LIST, 2 => SELECTOR, 3 => SET_PAYLOAD, 4 => SET_PAYLOAD, 5 => DELETE_PAYLOAD,
        6 => SELECTOR, 7 => UPDATE_VECTORS, 8 => DELETE_VECTORS, 9 => SELECTED, 10 => SELECTED,
    }
    POINT_LIST = "PointStructList" { 1 => POINT, 2, 3, 4 }
    SET_PAYLOAD = "SetPayload" { 1, 2 => SELECTOR, 3, 4 }
    DELETE_PAYLOAD = "DeletePayload" { 1, 2 => SELECTOR, 3 }
    UPDATE_VECTORS = "UpdateVectors" { 1 => POINT_VECTORS, 2, 3 }
    DELETE_VECTORS = "DeleteVectors" { 1 => SELECTOR, 2, 3 }
    SELECTED = "PointsUpdateOperation" { 1 => SELECTOR, 2 }

    POINT = "PointStruct" { 1, 3, 4 => VECTORS }
    POINT_VECTORS = "PointVectors" { 1, 2 => VECTORS }
    VECTORS = "Vectors" { 1, 2 }

    SELECTOR = "PointsSelector" { 1 => IDS, 2 => FILTER }
    IDS = "PointsIdsList" { 1 }
    FILTER = "Filter" { 1 => CONDITION, 2 => CONDITION, 3 => CONDITION, 4 => MIN_SHOULD }
    MIN_SHOULD = "MinShould" { 1 => CONDITION, 2 }
    CONDITION = "Condition" { 1 => FIELD, 2, 3, 4 => FILTER, 5, 6 => NESTED, 7, 8 }
    NESTED = "NestedCondition" { 1, 2 => FILTER }
    FIELD = "FieldCondition" {
        1, 2, 3 => RANGE, 4, 5, 6 => RANGE, 7, 8 => RANGE, 9, 10,
    }
    RANGE = "Range" { 1, 2, 3, 4 }
}

/// Refuses the first field that is not known. `bytes` have been read as this message before, so
/// they are well-formed, and nest no deeper than a reader goes.
pub fn check(mut bytes: &[u8], shape: &'static Shape) -> Result<(), Refusal> {
    while !bytes.is_empty() {
        let Ok((tag, wire_type)) = decode_key(&mut bytes) else { return Ok(()) };
        let Some((_, inner)) = shape.fields.iter().find(|(known, _)| *known == tag) else {
            let detail = format!(
                "field {tag} of {} is not known to this version: leave it out, or upgrade",
                shape.name
            );
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        };
        match inner {
            Some(inner) if wire_type == WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).ok().and_then(|it| it.try_into().ok());
                let Some((body, rest)) = length.and_then(|length| bytes.split_at_checked(length))
                else {
                    return Ok(());
                };
                check(body, inner)?;
                bytes = rest;
            }
            _ => {
                let context = DecodeContext::default();
                if skip_field(wire_type, tag, &mut bytes, context).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Deeper than a reader goes.
const DEPTH_MAX: usize = 100;

/// How many messages are inside this one, of those that are looked into. Of bytes that nobody has
/// read before: where they cannot be, the reader will say so.
pub fn inner(bytes: &[u8], shape: &'static Shape) -> usize {
    let mut count = 0;
    count_inner(bytes, shape, DEPTH_MAX, &mut count);
    count
}

fn count_inner(mut bytes: &[u8], shape: &'static Shape, depth: usize, count: &mut usize) {
    while !bytes.is_empty() && depth > 0 {
        let Ok((tag, wire_type)) = decode_key(&mut bytes) else { return };
        if wire_type != WireType::LengthDelimited {
            if skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).is_err() {
                return;
            }
            continue;
        }
        let length = decode_varint(&mut bytes).ok().and_then(|it| it.try_into().ok());
        let Some((body, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
            return;
        };
        if let Some((_, Some(inner))) = shape.fields.iter().find(|(known, _)| *known == tag) {
            *count += 1;
            count_inner(body, inner, depth - 1, count);
        }
        bytes = rest;
    }
}
