//! Packed values.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

type Packer = fn(&[u8]) -> Vec<u8>;

fn gzip(value: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(value).unwrap();
    encoder.finish().unwrap()
}

fn zstd(value: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(value, 3).unwrap()
}

/// Without the size of what is packed, as a producer writes that does not know it yet.
fn zstd_streamed(value: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(value, 3).unwrap()
}

#[test]
fn a_packed_message_is_the_message() {
    let plain = read(DELETE, &[]).unwrap();
    let value = DELETE.as_bytes();
    for (encoding, packed) in [
        ("identity", value.to_vec()),
        ("utf-8", value.to_vec()),
        ("gzip", gzip(value)),
        ("GZIP", gzip(value)),
        ("x-gzip", gzip(value)),
        // Two members, as a tool writes that appends.
        ("gzip", [gzip(&value[..9]), gzip(&value[9..])].concat()),
        ("zstd", zstd(value)),
        ("Zstd", zstd_streamed(value)),
        ("zstd", [zstd(&value[..9]), zstd_streamed(&value[9..])].concat()),
    ] {
        assert_eq!(
            read(packed, &[("content-encoding", encoding)]),
            Ok(plain.clone()),
            "{encoding}"
        );
    }
}

#[test]
fn what_unpacks_to_more_than_the_limit_is_too_large() {
    let max = decoding(Format::Auto).limits.message_bytes_max;
    let fits = format!("{}{}", " ".repeat(max - DELETE.len()), DELETE);
    let bomb = " ".repeat(max + 1);
    let huge = " ".repeat(max * 100);
    let packers: [(&str, Packer); 3] = [("gzip", gzip), ("zstd", zstd), ("zstd", zstd_streamed)];
    for (encoding, pack) in packers {
        let headers = [("content-encoding", encoding)];
        assert!(read(pack(fits.as_bytes()), &headers).is_ok(), "{encoding}");
        for large in [&bomb, &huge] {
            let packed = pack(large.as_bytes());
            assert!(packed.len() < max);
            let refusal = read(&packed, &headers).unwrap_err();
            assert_eq!(refusal.reason, Reason::TooLarge, "{encoding}: {refusal}");
            let protobuf = [("content-type", "application/protobuf"), ("type", "UpsertPoints")];
            let refusal = read(&packed, &[&headers[..], &protobuf].concat()).unwrap_err();
            assert_eq!(refusal.reason, Reason::TooLarge, "{encoding}: {refusal}");
        }
        // Who unpacked it to its end would meet the damage there.
        let mut damaged = pack(huge.as_bytes());
        damaged.truncate(damaged.len() - 5);
        let refusal = read(damaged, &headers).unwrap_err();
        assert_eq!(refusal.reason, Reason::TooLarge, "{encoding}: {refusal}");
    }
}

#[test]
fn what_is_not_packed_as_it_says_is_refused() {
    let cut = |mut packed: Vec<u8>| {
        packed.truncate(packed.len() - 5);
        packed
    };
    let value = DELETE.as_bytes();
    for (encoding, packed) in [
        ("gzip", value.to_vec()),
        ("gzip", cut(gzip(value))),
        ("zstd", value.to_vec()),
        ("zstd", cut(zstd(value))),
        ("gzip", zstd(value)),
        ("br", value.to_vec()),
        ("gzip, zstd", gzip(value)),
    ] {
        let refusal = read(packed, &[("content-encoding", encoding)]).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidEncoding, "{encoding}: {refusal}");
        assert!(refusal.detail.contains(encoding), "{refusal}");
    }
}
