//! The bytes of each operation in the log, as the first version that had it wrote them. They
//! are in logs: what is here never changes, new operations are added below.

use super::*;

/// A message with one operation, and its body in hexadecimal.
const WRITTEN: &[(&str, &str)] = &[
    (
        r#"{"upsert":{"points":[{"id":7,"vector":[1,-2],"payload":{"a":[1]}},{"id":"00000000-0000-0000-0000-000000000001","vector":{"x":[0.5]}}]}}"#,
        "0a500a0163124b1a490a220a09090700000000000000120a12080000803f000000c01a097b226122\
         3a5b315d7d0a230a1212100000000000000000000000000000000112090a017812040000003f1a02\
         7b7d",
    ),
    (
        r#"{"delete":{"points":[7,"00000000-0000-0000-0000-000000000001"]}}"#,
        "0a260a01631221221f0a090907000000000000000a12121000000000000000000000000000000001",
    ),
    (
        r#"{"delete":{"filter":{"must":[{"has_id":[7]}]}}}"#,
        "0a220a0163121d2a1b0a197b226d757374223a5b7b226861735f6964223a5b375d7d5d7d",
    ),
    (
        r#"{"update_vectors":{"points":[{"id":7,"vector":{"x":[0.5]}}]}}"#,
        "0a1f0a0163121a42180a160a0909070000000000000012090a017812040000003f",
    ),
    (
        r#"{"delete_vectors":{"points":[7],"vector":["x","y"]}}"#,
        "0a1a0a016312154a130a0b0a090907000000000000001a01781a0179",
    ),
    (
        r#"{"set_payload":{"payload":{"a":1},"points":[7],"key":"b[].c"}}"#,
        "0a240a0163121f521d0a0b0a0909070000000000000022077b2261223a317d2a05625b5d2e63",
    ),
    (
        r#"{"set_payload":{"payload":{"a":1},"filter":{"must":[{"has_id":[7]}]}}}"#,
        "0a2d0a016312285226121b0a197b226d757374223a5b7b226861735f6964223a5b375d7d5d7d2207\
         7b2261223a317d",
    ),
    (
        r#"{"overwrite_payload":{"payload":{"a":1},"points":[7]}}"#,
        "0a1d0a016312185a160a0b0a0909070000000000000022077b2261223a317d",
    ),
    (
        r#"{"delete_payload":{"keys":["a","b.c"],"points":[7]}}"#,
        "0a1c0a0163121762150a0b0a090907000000000000001a01611a03622e63",
    ),
    (r#"{"clear_payload":{"points":[7]}}"#, "0a140a0163120f6a0d0a0b0a09090700000000000000"),
    (
        r#"{"operations":[{"delete":{"points":[1]}},{"clear_payload":{"points":[]}}]}"#,
        "0a180a0163120d220b0a0909010000000000000012046a020a00",
    ),
];

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

#[test]
fn decisions_about_letters_are_written_as_they_always_were() {
    let hex =
        |body: &Body| -> String { encode(body).iter().map(|byte| format!("{byte:02x}")).collect() };
    assert_eq!(hex(&Body::DropLetters(vec![Seq(1), Seq(300)])), "32050a0301ac02");
    let redrive = |attempt| Body::Redrive(Redrive { letter: Seq(7), attempt });
    let refused = redrive(Err(Refusal::new(Reason::NotJson, "why")));
    assert_eq!(hex(&refused), "3a0b08071a0708021203776879");
    let text = br#"{"clear_payload":{"points":[7]}}"#;
    let applied = redrive(Ok(decode_message(text, Some("c"), &LIMITS).unwrap()));
    assert_eq!(hex(&applied), "3a18080712140a0163120f6a0d0a0b0a09090700000000000000");
}
