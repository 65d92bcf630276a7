//! The room that the ballast leaves.

use std::time::Duration;

use super::*;

#[test]
fn what_the_ballast_leaves_is_the_checkpoints_before_it_is_the_logs() {
    let line = line(&IngestSettings::default());
    let (ballast, watermark) = (line.ballast.clone(), line.watermark.clone());
    ballast.restore();
    let intake = intake(&line.queue, &watermark);
    line.guard.full.store(true, Ordering::SeqCst);
    // More than the first file has room for.
    for number in 1..=20 {
        intake.offer(batch(number, (number - 1) * 50..number * 50)).unwrap();
    }
    line.asked.recv().unwrap();
    assert!(ballast.is_lent());
    // There is room, and it is not the log's.
    line.guard.full.store(false, Ordering::SeqCst);
    let before: usize = line.frames.try_iter().map(|frame| frame.records.len()).sum();
    let more = line.frames.recv_timeout(Duration::from_millis(700));
    assert!(more.is_err() && line.no_room.load(Ordering::SeqCst), "the log took it");
    ballast.settle();
    drop(intake);
    assert_eq!(before + end(line).len(), 1000);
    assert_eq!(watermark.get(), 20);
}

#[test]
fn without_a_ballast_a_checkpoint_is_asked_for_too() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
    line.guard.full.store(true, Ordering::SeqCst);
    for number in 1..=20 {
        intake.offer(batch(number, (number - 1) * 50..number * 50)).unwrap();
    }
    line.asked.recv().unwrap();
    line.guard.full.store(false, Ordering::SeqCst);
    drop(intake);
    assert_eq!(end(line).len(), 1000);
}
