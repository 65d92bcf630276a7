//! Frames and headers read back as they were written, and nothing else reads back.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::chain::Link;
use super::super::frame::{self, Fault, Frame};
use super::super::header::FileHeader;
use super::super::name::FileName;
use super::*;

fn any_link() -> impl Strategy<Value = Link> {
    (any::<u128>(), 0..u64::MAX / 2, 0..u64::MAX / 2, any::<u32>()).prop_map(
        |(id, seq, frame, previous)| Link {
            log_id: LogId(Uuid::from_u128(id)),
            seq: Seq(seq),
            frame,
            previous,
        },
    )
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let bytes = |least| vec(any::<u8>(), least..60).prop_map(Bytes::from);
    (any::<u64>(), proptest::option::of(bytes(1)), bytes(0))
        .prop_map(|(time, position, body)| Draft { time: UnixMillis(time), position, body })
}

proptest! {
    #[test]
    fn a_frame_reads_back(link in any_link(), drafts in vec(any_draft(), 1..20)) {
        let mut bytes = vec![1, 2, 3];
        let next = frame::encode(link, &drafts, &mut bytes);
        prop_assert_eq!(bytes.len(), frame::frame_bytes(&drafts));
        bytes.extend_from_slice(b"what follows");
        let frame = Frame::decode(bytes.into()).unwrap();
        prop_assert_eq!(frame.header.link, link);
        prop_assert_eq!(link.after(frame.header.count, frame.checksum), next);
        prop_assert_eq!(frame.last_seq().next(), next.seq);
        let read: Vec<_> = frame.records().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), drafts.len());
        for ((at, read), draft) in read.iter().enumerate().zip(&drafts) {
            prop_assert_eq!(read.seq, Seq(link.seq.0 + at as u64));
            prop_assert_eq!(read.time, draft.time);
            prop_assert_eq!(&read.position, &draft.position);
            prop_assert_eq!(&read.body, &draft.body);
        }
    }

    #[test]
    fn a_changed_or_cut_frame_does_not(
        link in any_link(),
        drafts in vec(any_draft(), 1..5),
        at: prop::sample::Index,
        flip in 1..=255u8,
    ) {
        let mut bytes = vec![];
        frame::encode(link, &drafts, &mut bytes);
        let at = at.index(bytes.len());
        let cut = Bytes::copy_from_slice(&bytes[..at]);
        bytes[at] ^= flip;
        prop_assert!(Frame::decode(bytes.into()).is_err());
        prop_assert!(matches!(Frame::decode(cut), Err(Fault::Short)));
    }

    #[test]
    fn arbitrary_records_under_a_right_checksum_do_not_panic(
        link in any_link(),
        body in vec(any::<u8>(), 0..100),
        count in 0..4u32,
    ) {
        let mut bytes = vec![];
        let draft = Draft { time: UnixMillis(0), position: None, body: vec![0; body.len()].into() };
        frame::encode(link, &[draft], &mut bytes);
        let start = frame::HEADER_BYTES;
        bytes[start..start + body.len()].copy_from_slice(&body);
        bytes[44..48].copy_from_slice(&count.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..52]);
        bytes[52..56].copy_from_slice(&checksum.to_le_bytes());
        let end = bytes.len() - frame::CHECKSUM_BYTES;
        let checksum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        if let Ok(frame) = Frame::decode(bytes.into()) {
            prop_assert_eq!(frame.records().count() as u32, count);
        }
    }

    #[test]
    fn a_closing_frame_reads_back(link in any_link(), first_seq: u64, number: u64) {
        let name = FileName { first_seq: Seq(first_seq), number };
        let bytes = frame::encode_closing(link, name);
        prop_assert_eq!(bytes.len(), frame::CLOSING_BYTES);
        let frame = Frame::decode(bytes.into()).unwrap();
        prop_assert_eq!((frame.successor(), frame.header.link), (Some(name), link));
        prop_assert_eq!(frame.records().count(), 0);
    }

    #[test]
    fn a_file_header_reads_back_and_a_changed_one_does_not(
        start in any_link(),
        number: u64,
        carried: bool,
        at in 0..64usize,
        flip in 1..=255u8,
    ) {
        let header = FileHeader { number, carried, start };
        let mut bytes = header.encode();
        prop_assert_eq!(FileHeader::decode(&bytes), Ok(header));
        bytes[at] ^= flip;
        prop_assert!(FileHeader::decode(&bytes).is_err());
    }
}
