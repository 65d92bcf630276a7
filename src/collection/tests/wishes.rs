//! Indexes that filters wish for.

use serde_json::json;

use super::*;
use crate::collection::select::answer;

fn filled(points: u64, options: CollectionOptions) -> (tempfile::TempDir, Collection) {
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), Schema::unnamed(1, Distance::Dot), options);
    let json = |id: u64| json!({"color": (["red", "blue"][id as usize % 2]), "size": id});
    let points = (0..points).map(|id| point(number(id), vec![], json(id)));
    collection.apply(Seq(1), &[Operation::Upsert(points.collect())]).unwrap();
    (directory, collection)
}

/// Whether the filter is answered without reading a payload.
fn is_known(collection: &Collection, filter: &Filter) -> bool {
    answer(&collection.read(), &collection.vectors, filter).maybe.is_none()
}

#[test]
fn a_key_that_is_often_filtered_by_gets_an_index_and_nothing_else_changes() {
    let (_directory, collection) = filled(20_000, CollectionOptions::default());
    let red = filter(json!({"must": [{"key": "color", "match": {"value": "red"}}]}));
    let small = filter(json!({"should": [{"key": "size", "range": {"lt": 5}}, {"has_id": [9]}]}));
    for _ in 0..3 {
        assert_eq!((collection.count(&red), collection.count(&small)), (10_000, 6));
        assert!(!collection.fill_index());
    }
    collection.count(&red);
    while collection.fill_index() {}
    assert!(is_known(&collection, &red) && !is_known(&collection, &small));
    collection.count(&small);
    while collection.fill_index() {}
    assert!(is_known(&collection, &small));
    assert_eq!((collection.count(&red), collection.count(&small)), (10_000, 6));
    // Messages keep it right.
    let blue = upsert(number(0), vec![], json!({"color": "blue", "size": 7}));
    collection.apply(Seq(2), &[blue]).unwrap();
    assert_eq!((collection.count(&red), collection.count(&small)), (9_999, 5));
    // It is not one that was asked for.
    assert_eq!(collection.indexes(), []);
    assert_eq!(checkpoint(&collection).indexes, []);
}

#[test]
fn there_are_only_so_many_and_none_for_few_points() {
    let options = CollectionOptions { automatic_indexes_max: 1, ..CollectionOptions::default() };
    let (_directory, collection) = filled(20_000, options);
    let red = filter(json!({"must": [{"key": "color", "match": {"value": "red"}}]}));
    let small = filter(json!({"must": [{"key": "size", "range": {"lt": 5}}]}));
    for _ in 0..4 {
        collection.count(&red);
        collection.count(&small);
    }
    while collection.fill_index() {}
    assert!(is_known(&collection, &red) != is_known(&collection, &small));

    let (_directory, collection) = filled(5_000, CollectionOptions::default());
    (0..20).for_each(|_| assert_eq!(collection.count(&red), 2_500));
    assert!(!collection.fill_index() && !is_known(&collection, &red));
}
