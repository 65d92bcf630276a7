//! What is applied in the middle of a merge: after it chose its rows, before it moves them.

use std::sync::{Arc, Mutex, OnceLock};

use serde_json::json;

use super::*;
use crate::disk::{Step, Witness};

type Deed = Box<dyn FnOnce(&Collection) + Send>;

/// Does something to the collection when a merge syncs its output.
#[derive(Default)]
struct Meanwhile {
    collection: OnceLock<Arc<Collection>>,
    deed: Mutex<Option<Deed>>,
}

impl Witness for Meanwhile {
    fn saw(&self, step: Step<'_>) -> std::io::Result<()> {
        if let Step::Sync { .. } = step
            && let Some(deed) = self.deed.lock().unwrap().take()
        {
            deed(self.collection.get().unwrap());
        }
        Ok(())
    }
}

fn one_vector() -> Schema {
    Schema::unnamed(1, Distance::Euclid)
}

fn set(id: u64, value: u64) -> Operation {
    upsert(number(id), vec![named("", &[value as f32])], json!({"value": value}))
}

/// Points 0 to 11, three to a segment; each one's value is its number.
fn filled(directory: &Path) -> (Arc<Collection>, Arc<Meanwhile>) {
    let meanwhile = Arc::new(Meanwhile::default());
    let disk = Disk::watched(meanwhile.clone());
    let directory = directory.join("collection");
    let (options, metrics) = (eager(), Metrics::new());
    let collection = Collection::create("shop", directory, one_vector(), options, disk, metrics);
    for id in 0..12 {
        collection.apply(Seq(id + 1), &[set(id, id)]).unwrap();
        if id % 3 == 2 {
            checkpoint(&collection);
        }
    }
    let collection = Arc::new(collection);
    assert!(meanwhile.collection.set(collection.clone()).is_ok());
    (collection, meanwhile)
}

fn change(collection: &Collection) {
    let gone = Operation::DeletePoints(Selector::Ids(vec![number(2), number(5)]));
    // 100 gets the slot of one that goes, 101 that of the other.
    collection.apply(Seq(20), &[set(1, 77), gone, set(100, 100)]).unwrap();
    collection.apply(Seq(21), &[set(101, 101)]).unwrap();
}

fn values_after_change() -> BTreeMap<u64, u64> {
    let mut values: BTreeMap<u64, u64> = (0..12).map(|id| (id, id)).collect();
    values.extend([(1, 77), (100, 100), (101, 101)]);
    values.remove(&2);
    values.remove(&5);
    values
}

/// All readers say that these are the points, with these values.
fn check(collection: &Collection, values: &BTreeMap<u64, u64>) {
    let view = |point: &PointView| {
        let PointId::Number(id) = point.id else { panic!("{}", point.id) };
        let map = point.payload.as_ref().unwrap().to_map().unwrap();
        let value = map["value"].as_u64().unwrap();
        assert_eq!(point.vectors, Some(vec![(String::new(), vec![value as f32])]));
        (id, value)
    };
    let (filter, select) = (Filter::default(), everything());
    let scroll = Scroll { filter, offset: None, limit: 100, select };
    let page = collection.scroll(&scroll).unwrap();
    assert_eq!(page.points.iter().map(view).collect::<BTreeMap<_, _>>(), *values);
    let mut search = search("", Query::Vector(vec![0.0]), 100);
    search.select = everything();
    let found = collection.search(&search).unwrap();
    assert!(found.iter().all(|scored| scored.score == view(&scored.point).1 as f32));
    assert_eq!(found.iter().map(|scored| view(&scored.point)).collect::<BTreeMap<_, _>>(), *values);
}

#[test]
fn rows_that_change_while_they_are_merged_stay_changed() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, meanwhile) = filled(directory.path());
    *meanwhile.deed.lock().unwrap() = Some(Box::new(change));
    assert!(collection.merge(&AtomicBool::new(false)).unwrap());
    assert!(meanwhile.deed.lock().unwrap().is_none());
    check(&collection, &values_after_change());
    merge_all(&collection);
    check(&collection, &values_after_change());

    let files = checkpoint(&collection);
    let reopened = open(directory.path(), one_vector(), eager(), &files).unwrap();
    check(&reopened, &values_after_change());
}

#[test]
fn a_manifest_whose_seal_fell_into_a_merge_holds_what_was_there_at_the_seal() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, meanwhile) = filled(directory.path());
    let sealed = Arc::new(Mutex::new(None));
    let seal = {
        let sealed = sealed.clone();
        move |collection: &Collection| {
            change(collection);
            *sealed.lock().unwrap() = Some(collection.seal());
            let all = (0..200).map(number).collect();
            collection.apply(Seq(30), &[Operation::DeletePoints(Selector::Ids(all))]).unwrap();
            collection.apply(Seq(31), &[set(300, 300)]).unwrap();
        }
    };
    *meanwhile.deed.lock().unwrap() = Some(Box::new(seal));
    assert!(collection.merge(&AtomicBool::new(false)).unwrap());
    check(&collection, &BTreeMap::from([(300, 300)]));

    let sealed = sealed.lock().unwrap().take().unwrap();
    let flushed = collection.flush(sealed).unwrap();
    let files = collection.files_with(&flushed);
    collection.install(flushed).unwrap();
    check(&collection, &BTreeMap::from([(300, 300)]));
    let reopened = open(directory.path(), one_vector(), eager(), &files).unwrap();
    check(&reopened, &values_after_change());
}
