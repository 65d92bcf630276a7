//! Graphs that were saved: whole, damaged, forged, or over other rows.

use super::*;

#[test]
fn a_saved_graph_opens_and_answers_the_same() {
    let rows = random_rows(19, 1_500, 12);
    let queries = random_rows(20, 30, 12);
    for distance in DISTANCES {
        let graph = build(distance, &rows);
        let saved = graph.save(FINGERPRINT).unwrap();
        let opened = Graph::open(&saved, distance, rows.clone(), FINGERPRINT).unwrap();
        for query in queries.values.chunks(12) {
            let before = graph.search(query, 10, PLENTY, None).unwrap();
            assert!(before.is_some());
            assert_eq!(opened.search(query, 10, PLENTY, None).unwrap(), before);
        }
        assert_eq!(opened.save(FINGERPRINT).unwrap(), saved);
        assert!(opened.bytes() < 160 * 1_500, "{} bytes", opened.bytes());
    }
}

#[test]
fn every_damaged_byte_and_every_cut_is_refused() {
    let rows = random_rows(21, 40, 4);
    let saved = build(Distance::Dot, &rows).save(FINGERPRINT).unwrap();
    let open = |bytes: &[u8]| Graph::open(bytes, Distance::Dot, rows.clone(), FINGERPRINT).err();
    assert_eq!(open(&saved), None);
    for at in 0..saved.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = saved.clone();
            damaged[at] ^= flip;
            assert!(open(&damaged).is_some(), "byte {at} flipped by {flip:#x} was taken");
        }
        assert!(open(&saved[..at]).is_some(), "cut at {at} was taken");
    }
    let mut longer = saved.clone();
    longer.push(0);
    assert_eq!(open(&longer), Some(AnnError::Damaged("its length is wrong")));
    let mut newer = saved.clone();
    newer[8] = 2;
    assert_eq!(open(&newer), Some(AnnError::Newer { found: 2, newest: 1 }));
}

/// Even bytes whose checksum is right cannot make FAISS read outside of the graph.
#[test]
fn links_that_lead_nowhere_are_refused() {
    let rows = random_rows(22, 60, 4);
    let saved = build(Distance::Dot, &rows).save(FINGERPRINT).unwrap();
    let queries = random_rows(23, 5, 4);
    let (mut refused, mut taken) = (0, 0);
    for at in 44..saved.len() {
        let mut forged = saved.clone();
        forged[at] ^= 0x7f;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&forged[..40]), &forged[44..]);
        forged[40..44].copy_from_slice(&checksum.to_le_bytes());
        match Graph::open(&forged, Distance::Dot, rows.clone(), FINGERPRINT) {
            Err(_) => refused += 1,
            // It must stay inside its rows, whatever it answers.
            Ok(graph) => {
                taken += 1;
                for query in queries.values.chunks(4) {
                    graph.search(query, 10, PLENTY, None).unwrap();
                }
            }
        }
    }
    assert!(refused > 1_000 && taken > 0, "{refused} refused, {taken} taken");
}

#[test]
fn a_graph_over_other_rows_is_refused() {
    let rows = random_rows(24, 50, 4);
    let saved = build(Distance::Dot, &rows).save(FINGERPRINT).unwrap();
    let open = |distance, rows: &Arc<Rows>, fingerprint| match Graph::open(
        &saved,
        distance,
        rows.clone(),
        fingerprint,
    ) {
        Err(AnnError::OtherRows { what, .. }) => what,
        other => panic!("taken or refused otherwise: {:?}", other.err()),
    };
    assert_eq!(open(Distance::Dot, &rows, Fingerprint(1)), "fingerprint");
    assert_eq!(open(Distance::Cosine, &rows, FINGERPRINT), "distance");
    assert_eq!(open(Distance::Dot, &random_rows(24, 51, 4), FINGERPRINT), "number of rows");
    assert_eq!(open(Distance::Dot, &random_rows(24, 50, 5), FINGERPRINT), "number of dimensions");
}

/// A file that version 1 of the format wrote, over rows anyone can make again.
#[test]
fn the_first_format_still_opens() {
    let rows = Arc::new(Rows {
        values: (0..60u32 * 3).map(|n| (n * 37 % 101) as f32 / 8.0).collect(),
        dimensions: 3,
    });
    let query = [4.0, 5.5, 6.25];
    let fixture = include_bytes!("graph_v1.bin");
    let graph = Graph::open(fixture, Distance::Euclid, rows.clone(), FINGERPRINT).unwrap();
    let found = graph.search(&query, 5, PLENTY, None).unwrap().unwrap();
    assert_eq!(found, exact(Distance::Euclid, &rows, &query, 5, |_| true));
}
