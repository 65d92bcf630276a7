use serde_json::json;

use super::*;
use crate::collection::stage::has_room;
use crate::operation::Reason;

fn unnamed(size: usize, distance: Distance) -> (tempfile::TempDir, Collection) {
    let directory = tempfile::tempdir().unwrap();
    let schema = Schema::unnamed(size, distance);
    let collection = create(directory.path(), schema, eager());
    (directory, collection)
}

#[test]
fn what_does_not_fit_the_schema_is_refused_and_nothing_of_its_message_stays() {
    let (_directory, collection) = unnamed(2, Distance::Cosine);
    let good = upsert(number(1), vec![named("", &[3.0, 4.0])], json!({}));
    for (bad, reason) in [
        (named("text", &[1.0, 1.0]), Reason::UnknownVector),
        (named("", &[1.0]), Reason::WrongDimension),
        (named("", &[0.0, 0.0]), Reason::ZeroVector),
    ] {
        let message = [good.clone(), upsert(number(2), vec![bad], json!({}))];
        let refusal = collection.apply(Seq(1), &message).unwrap_err();
        assert_eq!(refusal.reason, reason);
        assert!(refusal.detail.starts_with("operations[1]: point 2: "), "{}", refusal.detail);
        assert_eq!(collection.check(&message), Err(refusal));
        assert_eq!(collection.count(&Filter::default()), 0);
    }
    collection.apply(Seq(1), &[good]).unwrap();
    let found = collection.retrieve(&[number(1)], &everything()).unwrap();
    assert_eq!(found[0].vectors, Some(vec![(String::new(), vec![0.6, 0.8])]));
}

#[test]
fn operations_of_one_message_see_each_other() {
    let (_directory, collection) = unnamed(1, Distance::Dot);
    let message = [
        upsert(number(1), vec![named("", &[1.0])], json!({"n": 1})),
        Operation::DeletePoints(Selector::Ids(vec![number(1), number(9)])),
        upsert(number(2), vec![named("", &[2.0])], json!({"n": 2})),
        upsert(number(2), vec![], json!({"n": 3})),
    ];
    collection.apply(Seq(5), &message).unwrap();
    let view = PointView {
        id: number(2),
        version: Seq(5),
        payload: Some(payload(json!({"n": 3}))),
        vectors: Some(Vec::new()),
    };
    let ids = [number(1), number(2)];
    assert_eq!(collection.retrieve(&ids, &everything()).unwrap(), [view]);
    assert_eq!(collection.search(&search("", Query::Vector(vec![1.0]), 9)).unwrap(), []);
}

#[test]
fn a_full_collection_refuses_new_points_and_takes_old_ones() {
    let (_directory, collection) = unnamed(1, Distance::Dot);
    for id in 0..3 {
        collection.apply(Seq(id + 1), &[upsert(number(id), vec![], json!({}))]).unwrap();
    }
    let some = |ids: &[u64]| {
        let points = ids.iter().map(|id| point(number(*id), vec![], json!({})));
        [Operation::Upsert(points.collect())]
    };
    let room = |ids: &[u64]| {
        let operations = some(ids);
        let staged = collection.stage(&operations)?;
        has_room(&collection.read(), &staged, 4)
    };
    assert_eq!(room(&[0, 1, 2, 7]), Ok(()));
    let refusal = room(&[0, 7, 8]).unwrap_err();
    assert_eq!(refusal.reason, Reason::CollectionFull);
}

#[test]
fn a_read_says_what_is_wrong_with_it() {
    let (_directory, collection) = unnamed(2, Distance::Dot);
    collection.apply(Seq(1), &[upsert(number(1), vec![], json!({}))]).unwrap();
    let error = |vector: &str, query| collection.search(&search(vector, query, 1)).unwrap_err();
    let unknown = ReadError::UnknownVector { given: "text".to_owned(), known: "``".to_owned() };
    assert_eq!(error("text", Query::Vector(vec![1.0, 2.0])), unknown);
    let wrong = ReadError::WrongDimension { name: String::new(), given: 1, expected: 2 };
    assert_eq!(error("", Query::Vector(vec![1.0])), wrong);
    assert_eq!(error("", Query::Vector(vec![1.0, f32::NAN])), ReadError::NotFinite);
    assert_eq!(error("", Query::Point(number(1))), ReadError::NoVector(number(1)));
    assert_eq!(error("", Query::Point(number(2))), ReadError::NoSuchPoint(number(2)));
    let vectors = VectorSelect::Named(vec!["text".to_owned()]);
    let select = Select { vectors, ..Select::default() };
    assert_eq!(collection.retrieve(&[], &select), Err(unknown));
}

#[test]
fn an_answer_has_what_was_selected() {
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), schema(), eager());
    let vectors = vec![named("dot", &[1.0, 2.0]), named("l1", &[3.0])];
    let json = json!({"a": {"b": 1}, "b": [2], "c": null});
    collection.apply(Seq(1), &[upsert(uuid(1), vectors, json)]).unwrap();
    let answer = |payload, vectors| {
        let found = collection.retrieve(&[uuid(1)], &Select { payload, vectors }).unwrap();
        let [found] = &found[..] else { panic!("one point") };
        (found.payload.clone(), found.vectors.clone())
    };
    assert_eq!(answer(PayloadSelect::None, VectorSelect::None), (None, None));
    let keys = || ["a", "c", "z"].map(|key| key.parse().unwrap()).to_vec();
    let (kept, _) = answer(PayloadSelect::Include(keys()), VectorSelect::None);
    assert_eq!(kept, Some(payload(json!({"a": {"b": 1}, "c": null}))));
    let named = VectorSelect::Named(vec!["l1".to_owned(), "cos".to_owned()]);
    let (kept, vectors) = answer(PayloadSelect::Exclude(keys()), named);
    assert_eq!(kept, Some(payload(json!({"b": [2]}))));
    assert_eq!(vectors, Some(vec![("l1".to_owned(), vec![3.0])]));
}

#[test]
fn metrics_follow_and_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let (path, schema) = (directory.path().join("collection"), Schema::unnamed(1, Distance::Dot));
    let disk = Disk::new();
    let collection = Collection::create("shop", path, schema, eager(), disk, metrics.clone());
    for id in 0..4 {
        let operation = upsert(number(id), vec![named("", &[1.0])], json!({}));
        collection.apply(Seq(id + 1), &[operation]).unwrap();
    }
    let has = |line: &str| assert!(metrics.render().contains(line), "{line}");
    has(r#"pointd_points{collection="shop"} 4"#);
    assert!(collection.head_bytes() > 0);
    has(&format!(r#"pointd_head_bytes{{collection="shop"}} {}"#, collection.head_bytes()));
    checkpoint(&collection);
    has(r#"pointd_head_bytes{collection="shop"} 0"#);
    has(r#"pointd_segments{collection="shop"} 2"#);
    has(r#"pointd_exact_rows{collection="shop",vector=""} 4"#);
    assert!(collection.info().optimizing);
    while collection.build_graph(&mut || false).unwrap() {}
    has(r#"pointd_exact_rows{collection="shop",vector=""} 0"#);
    has(r#"pointd_graph_rows{collection="shop",vector=""} 4"#);
    assert!(!collection.info().optimizing);
    assert_eq!(collection.info().indexed_vectors, 4);
    collection.forget_metrics();
    assert!(!metrics.render().contains("shop"));
}

/// A page that has to look at many points, in several holds of the lock.
#[test]
fn a_page_goes_on_until_it_is_full_however_rare_the_matches() {
    let (_directory, collection) = unnamed(1, Distance::Dot);
    let rare = |id: u64| id % 1700 == 1699;
    let points = (0..6000).map(|id| point(number(id), vec![], json!({"rare": rare(id)})));
    collection.apply(Seq(1), &[Operation::Upsert(points.collect())]).unwrap();
    let expected: Vec<PointId> = (0..6000).filter(|id| rare(*id)).map(number).collect();
    let is_rare = json!({"key": "rare", "match": {"value": true}});
    let listed: Vec<u64> = (0..6000).collect();
    let listed = json!({"has_id": listed});
    for filter in [json!({"must": [is_rare]}), json!({"must": [is_rare, listed]})].map(filter) {
        let page = |offset, limit| {
            let (filter, select) = (filter.clone(), Select::default());
            let page = collection.scroll(&Scroll { filter, offset, limit, select }).unwrap();
            let ids: Vec<PointId> = page.points.iter().map(|point| point.id).collect();
            (ids, page.next_page_offset)
        };
        assert_eq!(page(None, 2), (expected[..2].to_vec(), Some(expected[2])));
        assert_eq!(page(Some(expected[2]), 2), (expected[2..].to_vec(), None));
        assert_eq!(page(None, 100), (expected.clone(), None));
        assert_eq!(collection.count(&filter), expected.len() as u64);
        let found = collection.search(&search("", Query::Vector(vec![1.0]), 9)).unwrap();
        assert_eq!(found, []);
    }
}
