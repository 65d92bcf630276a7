//! Headers that a publisher may send and a client may not expect.

use super::super::readers::Readers;
use super::super::{native, probe};
use super::*;

fn producer(world: &World) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.broker.bootstrap());
    config.create().unwrap()
}

#[test]
fn a_header_whose_name_is_no_text_is_a_header() {
    let mut world = World::new(1);
    let headers: &[(&[u8], Option<&[u8]>)] =
        &[(b"\xff", Some(b"\xfe")), (b"", Some(b"")), (b"null", None), (b"k\xffy", Some(b"v"))];
    native::publish_with_headers(&producer(&world), world.broker.topic(), "0", headers);
    world.found(CLUSTER, ID, 0, 1);
    world.turn_until("the message", |world| world.values() == [(0, 0)]);
    let items = world.items();
    let What::Message(delivery) = &items[1].1.what else { panic!("{items:?}") };
    let told = delivery.headers.iter().map(|(name, value)| (name.as_str(), &value[..]));
    let expected: [(&str, &[u8]); 4] =
        [("\u{fffd}", b"\xfe"), ("", b""), ("null", b""), ("k\u{fffd}y", b"v")];
    assert!(told.eq(expected), "{delivery:?}");
}

#[test]
fn a_message_whose_headers_cannot_be_read_is_damaged_and_not_without_headers() {
    let mut world = World::having_read(1, 2);
    // More than librdkafka reads.
    let many: Vec<(&[u8], Option<&[u8]>)> = vec![(b"", None); 100_001];
    native::publish_with_headers(&producer(&world), world.broker.topic(), "2", &many);
    world.publish(0, 3..5);
    world.turn_until("the question", |world| !world.asked.is_empty());
    let question = world.asked.recv().unwrap();
    assert!(question.suspect && question.next == Offset(2), "{question:?}");
    // Who looks sees the same.
    let readers = Readers::new("test", world.consume.settings.client_config());
    let answer = probe::look(None, &readers, question);
    let answer = answer.map_err(|unanswered| unanswered.error).unwrap();
    assert_eq!(answer.between, Between::Damaged { readable: 3 });
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Damaged { expected: 2, readable: 3 }));
    assert_eq!(world.values(), of_partition(0, 0..2));
    world.accept_seeing(5, Ok(Between::Damaged { readable: 3 }));
    world.turn_until("the rest", |world| world.values().len() == 4);
    assert_eq!(world.values()[2..], of_partition(0, 3..5));
}
