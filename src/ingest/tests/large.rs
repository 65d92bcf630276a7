//! Batches that are larger than a frame.

use super::*;

#[test]
fn a_batch_larger_than_a_frame_goes_into_several_and_is_acknowledged_with_the_last() {
    let settings = IngestSettings { frame_bytes_max: 2000, ..IngestSettings::default() };
    let line = line(&settings);
    let (guard, watermark, frames) =
        (line.guard.clone(), line.watermark.clone(), line.frames.clone());
    let intake = intake(&line.queue, &watermark);
    intake.offer(batch(1, 0..200)).unwrap();
    drop(intake);
    drop(line.queue);
    line.appender.join().unwrap().unwrap();
    let frames: Vec<Frame> = frames.iter().collect();
    assert!(frames.len() > 4, "{}", frames.len());
    assert!(frames.iter().all(|frame| frame.bytes <= 2 * 2000 + 200), "a frame is too large");
    assert_eq!(frames.iter().map(|frame| frame.records.len()).sum::<usize>(), 200);
    assert!(!guard.early.load(Ordering::SeqCst), "it was acknowledged with an earlier frame");
    assert_eq!(watermark.get(), 1);
}

#[test]
fn workers_wait_when_they_are_far_ahead_and_all_is_taken_in_order() {
    // Three batches of what is decoded use it up, and five may wait.
    let settings = IngestSettings {
        queue_bytes_max: 20_000,
        applier_frames_max: 1000,
        ..IngestSettings::default()
    };
    let line = line(&settings);
    let intake = intake(&line.queue, &line.watermark);
    for number in 1..=50 {
        let mut next = batch(number, (number - 1) * 20..number * 20);
        while let Err(back) = intake.offer(next) {
            next = back;
            std::thread::yield_now();
        }
    }
    let watermark = line.watermark.clone();
    drop(intake);
    let expected: Vec<(u64, bool)> = (1..=1000).map(|next| (next, false)).collect();
    assert_eq!(end(line), expected);
    assert_eq!(watermark.get(), 50);
}
