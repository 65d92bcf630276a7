//! Nothing is passed over in silence: what a machine lacks fails a test, unless it is left out by name.

use std::process::{Command, Output};

use crate::brokers::without::VARIABLE;

/// Each part with a test that needs it.
const NEEDS: [(&str, &str); 4] = [
    ("kafka", "sources::kafka_offsets::it_resumes_where_the_log_stands_whatever_is_committed"),
    (
        "rabbitmq",
        "sources::amqp_lost::a_broker_that_cannot_be_reached_is_tried_less_and_less_often",
    ),
    ("mount", "sources::full_disk::what_finds_no_room_in_the_log_is_not_acked"),
    ("qemu", "cpu::an_older_processor_is_told_what_is_missing"),
];

/// Where no program is found.
fn run(test: &str, without: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env("PATH", "").env(VARIABLE, without).output().unwrap()
}

#[test]
fn a_test_fails_without_what_it_needs_unless_that_is_left_out() {
    for (part, test) in NEEDS {
        let others: Vec<&str> =
            NEEDS.iter().map(|(other, _)| *other).filter(|other| *other != part).collect();
        let output = run(test, &others.join(","));
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("0 passed; 1 failed"), "without {part}: {told}");
        let output = run(test, &format!("nothing,{part}"));
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("1 passed; 0 failed"), "left out: {part}: {told}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(&format!("without {part} this goes unchecked")), "{error}");
    }
}
