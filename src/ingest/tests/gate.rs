//! A source that may not pass a message that is refused.

use super::*;

#[test]
fn behind_a_refused_message_nothing_is_taken_nor_acknowledged_until_the_gate_is_opened() {
    let line = line_of(&IngestSettings::default(), true);
    let (gate, watermark) = (Gate::default(), line.watermark.clone());
    let intake = line.queue.intake(0, watermark.clone(), gate.clone(), DurableOffsets::default());
    let poisoned = |number, mut batch: Batch| {
        batch.number = number;
        let What::Message(delivery) = &mut batch.items[1].what else { unreachable!() };
        delivery.value = Some(Bytes::from_static(b"poison"));
        batch
    };
    intake.offer(batch(1, 0..2)).unwrap();
    intake.offer(poisoned(2, batch(2, 2..6))).unwrap();
    intake.offer(batch(3, 6..8)).unwrap();
    while !gate.is_closed() {
        std::thread::yield_now();
    }
    assert!(gate.why().unwrap().contains("not_json"), "{:?}", gate.why());
    assert!(!gate.reopen(3), "nobody has decided");
    // Another one of the same source, at once.
    intake.offer(batch(4, 8..9)).unwrap();
    // What is durable of another source was taken behind all of that.
    let others = Watermark::default();
    super::intake(&line.queue, &others).offer(batch(1, 0..1)).unwrap();
    while others.get() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(watermark.get(), 1);
    gate.release();
    assert!(gate.reopen(4));
    // Delivered again, from where nothing was acknowledged.
    intake.offer(poisoned(5, batch(5, 2..6))).unwrap();
    intake.offer(batch(6, 6..9)).unwrap();
    let frames = line.frames.clone();
    drop(intake);
    drop(line.queue);
    line.appender.join().unwrap().unwrap();
    let records: Vec<(u64, &str)> = frames
        .iter()
        .flat_map(|frame| frame.records)
        .map(|record| {
            let Mark::Next(next) = record.position.unwrap().mark else { unreachable!() };
            let what = match record.body {
                Body::Message(_) => "message",
                Body::Rejected(_) => "letter",
                Body::Duplicate => "again",
                other => panic!("{other:?}"),
            };
            (next.0, what)
        })
        .collect();
    let expected = [
        (1, "message"),
        (2, "message"),
        (3, "message"),
        (4, "letter"),
        // The other source's.
        (1, "again"),
        (3, "again"),
        (4, "again"),
        (5, "message"),
        (6, "message"),
        (7, "message"),
        (8, "message"),
        (9, "message"),
    ];
    assert_eq!(records, expected);
    assert_eq!(watermark.get(), 6);
}
