//! The Qdrant client of Python, unchanged, against the real binary.

use std::path::Path;
use std::process::Command;

use crate::harness::Setup;

/// The version whose requests `api::QDRANT_VERSION` answers to.
const CLIENT: &str = "qdrant-client==1.20.0";

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (told, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{told}\n{failed}");
}

/// Made once; its name says what is in it.
fn interpreter() -> std::path::PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let venv = target.join(CLIENT.replace("==", "-"));
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", CLIENT]));
        std::fs::write(&done, CLIENT).unwrap();
    }
    python
}

#[test]
fn the_python_client_works_unchanged() {
    let setup = Setup::new();
    setup.configure("");
    let pointd = setup.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/smoke.py");
    run(Command::new(interpreter()).arg(script).arg(&pointd.url));
    assert!(pointd.terminate().success());
}
