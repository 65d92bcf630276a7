//! The bytes of each operation in the log, as the first version that had it wrote them. They
//! are in logs: what is here never changes, new operations are added below.

use super::*;

/// A message with one operation, and its body in hexadecimal.
const WRITTEN: &[(&str, &str)] = &[];

#[test]
fn what_was_written_once_reads_back_and_is_written_the_same() {
    let mut wrong = Vec::new();
    for (text, hex) in WRITTEN {
        let message = decode_message(text.as_bytes(), Some("c"), &LIMITS).unwrap();
        let body = Body::Message(message);
        let written: String = encode(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        if written != *hex {
            wrong.push(format!("{text}\n{written}"));
            continue;
        }
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        let bytes = bytes.collect::<Result<Vec<u8>, _>>().unwrap();
        assert_eq!(decode(bytes.into()).unwrap(), body, "{text}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
