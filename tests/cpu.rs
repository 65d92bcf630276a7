//! On a processor without AVX2 the program says so and ends with code 78; SIGILL says nothing.

use std::process::Command;

/// Needs `qemu-x86_64` (Debian: qemu-user), which emulates such a processor.
#[test]
fn an_older_processor_is_told_what_is_missing() {
    let emulator = "qemu-x86_64";
    if Command::new(emulator).arg("--version").output().is_err() {
        eprintln!("skipped: {emulator} is not installed");
        return;
    }
    let output = Command::new(emulator)
        .args(["-cpu", "Westmere", env!("CARGO_BIN_EXE_pointd"), "--version"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(output.stdout.is_empty());
    let ours: Vec<&str> = said.lines().filter(|line| line.starts_with("pointd:")).collect();
    assert_eq!(ours.len(), 1, "{said}");
    assert!(ours[0].contains("AVX2") && ours[0].contains("x86-64-v3"), "{said}");
}
