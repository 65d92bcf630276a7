//! Starting again with the real binary: damaged files, missing graphs, two processes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Pointd, Setup};

const POINTS: u64 = 3000;

fn vector(id: u64) -> [f64; 4] {
    [1.0, (id % 50) as f64, (id / 50) as f64, (id * 7 % 13) as f64]
}

/// A stopped daemon's setup whose data has segments, graphs and dead letters.
fn filled() -> Setup {
    let setup = Setup::new();
    setup.configure(
        "[storage]\ngraph_rows_min = 1000\n[collections.c]\nsize = 4\ndistance = \"Euclid\"\n",
    );
    let pointd = setup.start();
    for first in (0..POINTS).step_by(500) {
        let points: Vec<Value> = (first..first + 500)
            .map(|id| json!({"id": id, "vector": vector(id), "payload": {"even": id % 2 == 0}}))
            .collect();
        let answer = pointd.put("/collections/c/points?wait=true", &json!({"points": points}));
        assert_eq!(answer["result"]["status"], "completed", "{answer}");
    }
    assert!(pointd.terminate().success());
    // The segment is there now; its graph is built after the start.
    let pointd = setup.start();
    wait_for_graph(&pointd);
    assert!(pointd.terminate().success());
    setup
}

fn wait_for_graph(pointd: &Pointd) {
    let series = "pointd_graph_rows{collection=\"c\",vector=\"\"}";
    pointd.wait_until("the graph", PATIENCE, |pointd| pointd.metric(series) == Some(POINTS as f64));
}

fn search(pointd: &Pointd) -> Value {
    let body = json!({"vector": vector(1234), "limit": 20, "with_payload": true});
    pointd.post("/collections/c/points/search", &body)["result"].clone()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn is_graph(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "graph")
}

#[test]
fn deleted_graphs_are_built_again_and_answers_stay_the_same() {
    let setup = filled();
    let pointd = setup.start();
    let before = search(&pointd);
    assert_eq!(before.as_array().unwrap().len(), 20);
    assert!(pointd.terminate().success());
    let graphs: Vec<PathBuf> =
        files(&setup.data()).into_iter().filter(|path| is_graph(path)).collect();
    assert!(!graphs.is_empty());
    for graph in &graphs {
        std::fs::remove_file(graph).unwrap();
    }
    let pointd = setup.start();
    assert_eq!(search(&pointd), before);
    wait_for_graph(&pointd);
    assert!(graphs.iter().all(|graph| graph.exists()));
    assert_eq!(search(&pointd), before);
}

#[test]
fn a_changed_or_missing_file_stops_the_start_and_is_named() {
    let setup = filled();
    // Graphs are built again, and the ballast is room with nothing in it.
    let matters = |path: &PathBuf| !is_graph(path) && !path.ends_with("ballast");
    let files: Vec<PathBuf> = files(&setup.data()).into_iter().filter(matters).collect();
    // The manifest, the log, and the segments of two columns.
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        let original = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut changed = original.clone();
        // In a log file the header, which no interrupted write can excuse.
        let at = if name.ends_with(".wal") || file.parent().unwrap().ends_with("wal") {
            20
        } else {
            changed.len() / 2
        };
        changed[at] ^= 0x10;
        std::fs::write(file, &changed).unwrap();
        let said = setup.start_refused();
        assert!(said.contains(name), "{name} was changed, but: {said}");
        std::fs::remove_file(file).unwrap();
        std::fs::remove_file(setup.dir.path().join("pointd.log")).unwrap();
        let said = setup.start_refused();
        let directory = file.parent().unwrap().to_str().unwrap();
        assert!(said.contains(name) || said.contains(directory), "{name} is missing, but: {said}");
        std::fs::remove_file(setup.dir.path().join("pointd.log")).unwrap();
        std::fs::write(file, &original).unwrap();
    }
    let pointd = setup.start();
    assert_eq!(pointd.count("c"), POINTS);
}

#[test]
fn a_second_process_is_refused() {
    let setup = Setup::new();
    setup.configure("");
    let _running = setup.start();
    let other = Setup { dir: tempfile::tempdir().unwrap(), port: crate::brokers::free_port() };
    let (port, data) = (other.port, setup.data());
    let text = format!("[api]\nlisten = \"127.0.0.1:{port}\"\n[storage]\ndir = {data:?}\n");
    std::fs::write(other.dir.path().join("pointd.toml"), text).unwrap();
    let said = other.start_refused();
    assert!(said.contains("another process") || said.contains("in use"), "{said}");
}
