//! What bounds the intake: windows of message ids, the reserve of the disk, the ballast.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::disk::ballast::Ballast;
use crate::disk::{Disk, free_bytes};
use crate::ingest::{Duplicates, Gauges};
use crate::position::Position;

/// The sources that have a window, and how large.
pub(super) fn windows(settings: &Settings) -> impl Iterator<Item = (String, usize)> {
    let sources = settings.source.iter().filter(|source| source.message_id_window > 0);
    sources.map(|source| (source.name.clone(), source.message_id_window))
}

pub(super) fn duplicates(
    settings: &Settings,
    catalog: &Catalog,
    positions: Vec<Position>,
) -> Duplicates {
    let mut duplicates = Duplicates::new(positions);
    for (source, size) in windows(settings) {
        duplicates.watch(&source, size, catalog.window(&source));
    }
    duplicates
}

/// What intake looks at to stop in time.
pub(super) fn gauges(
    settings: &Settings,
    catalog: &Arc<Catalog>,
    checkpoint: Sender<()>,
) -> Gauges {
    let storage = &settings.storage;
    let directory = storage.dir.clone();
    let (heads, share, over) = (catalog.clone(), catalog.clone(), catalog.clone());
    let enough = storage.reserve_bytes();
    // Collections that are written to at the same time fill a head each.
    let logs = storage.reserve_bytes.is_none().then(|| storage.log_file_bytes.saturating_mul(3));
    // What brokers have delivered by the time a bound is reached can all be poison.
    let prefetched: usize =
        settings.source.iter().filter_map(|it| Some(usize::from(it.amqp.as_ref()?.prefetch))).sum();
    let more = settings.storage.dead_letters_max / 10 + prefetched;
    let more_bytes =
        settings.storage.dead_letter_bytes_max / 10 + settings.ingest.queue_bytes_max as u64;
    Gauges {
        disk_free_bytes: Arc::new(move || free_bytes(&directory).ok()),
        reserve_bytes: Arc::new(move || match logs {
            Some(logs) => logs.saturating_add(heads.heads_bytes()).max(enough),
            None => enough,
        }),
        resume_bytes: storage.log_file_bytes,
        dead_letters_share: Arc::new(move || share.dead_letters_share()),
        dead_letters_over: Arc::new(move || over.dead_letters_over(more, more_bytes)),
        make_room: Arc::new(move || {
            // One that is asked for already will do.
            let _ = checkpoint.try_send(());
        }),
    }
}

/// Kept where the configuration asks for it. After recovery, which may need the room.
pub(super) fn ballast(settings: &Settings) -> Option<Arc<Ballast>> {
    let storage = &settings.storage;
    if storage.ballast_bytes == 0 {
        return None;
    }
    let reserve = storage.reserve_bytes();
    let ballast = Ballast::new(&Disk::new(), &storage.dir, storage.ballast_bytes, reserve);
    ballast.restore();
    Some(Arc::new(ballast))
}
