//! On a processor without AVX2 the program says so and ends with code 78; SIGILL says nothing.

use std::process::Command;

use crate::brokers::without::{is_left_out, missing};

const EMULATOR: &str = "qemu-x86_64";

/// Needs `qemu-x86_64` (Debian: qemu-user), which emulates such a processor.
#[test]
fn an_older_processor_is_told_what_is_missing() {
    let check = "a processor without AVX2";
    if is_left_out("qemu", check) {
        return;
    }
    let output = Command::new(EMULATOR)
        .args(["-cpu", "Westmere", env!("CARGO_BIN_EXE_pointd"), "--version"])
        .output()
        .unwrap_or_else(|error| missing("qemu", check, format_args!("{EMULATOR}: {error}")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(output.stdout.is_empty());
    let ours: Vec<&str> = said.lines().filter(|line| line.starts_with("pointd:")).collect();
    assert_eq!(ours.len(), 1, "{said}");
    assert!(ours[0].contains("AVX2") && ours[0].contains("x86-64-v3"), "{said}");
}
