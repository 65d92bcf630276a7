//! `content-encoding`: values that are packed as a whole.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::shortened;
use crate::operation::{Limits, Reason, Refusal};

/// The value as it was before it was packed. A small value that would unpack to more than the
/// limit is refused, and never more than that is unpacked.
pub fn unpack<'a>(
    value: &'a [u8],
    encoding: &str,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let is = |known: &str| encoding.eq_ignore_ascii_case(known);
    // Some clients name the text's encoding here: what is read is UTF-8 anyway.
    let is_text = ["utf-8", "utf8", "us-ascii", "binary"].into_iter().any(is);
    if encoding.is_empty() || is("identity") || is_text {
        return Ok(Cow::Borrowed(value));
    }
    if is("gzip") || is("x-gzip") {
        return gunzip(value, limits).map(Cow::Owned);
    }
    if is("zstd") {
        return unzstd(value, limits).map(Cow::Owned);
    }
    let detail = format!(
        "content-encoding `{}` is not read: give `gzip`, `zstd` or `identity`",
        shortened(encoding)
    );
    Err(Refusal::new(Reason::InvalidEncoding, detail))
}

fn gunzip(value: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let max = limits.message_bytes_max;
    // Most messages grow by less than this; those that grow by more pay for a copy.
    let mut unpacked = Vec::with_capacity(value.len().saturating_mul(4).min(max));
    let one_more = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut reader = MultiGzDecoder::new(value).take(one_more);
    reader.read_to_end(&mut unpacked).map_err(|error| damaged("gzip", &error))?;
    if unpacked.len() > max { Err(too_large("gzip", max)) } else { Ok(unpacked) }
}

/// Unpacks straight into the result. A stream's decoder would first make room for the window
/// that the frame asks for, which is the sender's word and may be far more than the limit.
fn unzstd(value: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let max = limits.message_bytes_max;
    let told = get_frame_content_size(value).ok().flatten();
    if told.is_some_and(|told| told > max as u64) {
        return Err(too_large("zstd", max));
    }
    let mut unpacked = Vec::with_capacity(max.min(CAPACITY_MAX));
    let mut decompressor = Decompressor::new().map_err(|error| damaged("zstd", &error))?;
    match decompressor.decompress_to_buffer(value, &mut unpacked) {
        // An allocator may give more room than was asked for.
        Ok(bytes) if bytes > max => Err(too_large("zstd", max)),
        Ok(_) => Ok(unpacked),
        Err(error) if error.to_string().contains("too small") => Err(too_large("zstd", max)),
        Err(error) => Err(damaged("zstd", &error)),
    }
}

/// What a limit beyond every configuration's may make an allocator promise.
const CAPACITY_MAX: usize = 1 << 30;

fn too_large(encoding: &str, max: usize) -> Refusal {
    let detail = format!("the message unpacks from {encoding} to more than the limit of {max}");
    Refusal::new(Reason::TooLarge, detail)
}

fn damaged(encoding: &str, error: &std::io::Error) -> Refusal {
    let detail = format!(
        "the message is not {encoding}, as its content-encoding says: {error}: send whole frames, \
         or leave the header out"
    );
    Refusal::new(Reason::InvalidEncoding, detail)
}
