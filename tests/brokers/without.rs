//! What a machine may lack. A test fails without what it needs: passed over in silence, it would look
//! as if it had passed. What the environment names is left out instead, and each test says what that
//! leaves unchecked.

use std::fmt::Display;
use std::io::Write;

/// Names parts, with commas between: `kafka`, `rabbitmq`, `mount`, `qemu`.
pub const VARIABLE: &str = "POINTD_TESTS_WITHOUT";

/// Whether what needs this part is left out.
pub fn is_left_out(part: &str, check: &str) -> bool {
    let without = std::env::var(VARIABLE).unwrap_or_default();
    let left_out = without.split(',').any(|named| named == part);
    if left_out {
        // What a passing test prints with `eprintln!` is not shown.
        let _ = writeln!(std::io::stderr(), "without {part} this goes unchecked: {check}");
    }
    left_out
}

/// Ends a test that needs this part.
#[track_caller]
pub fn missing(part: &str, check: &str, why: impl Display) -> ! {
    panic!("{check}: {part} is missing: {why}\n{VARIABLE}={part} leaves out what needs it")
}
