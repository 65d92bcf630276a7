//! What poison costs those behind it: the same messages with and without a bad one after every nine
//! of them. Both ways of being bad: what is cut off is refused when it is decoded, what is meant for
//! an unknown collection is well until the applier refuses it.

use lapin::BasicProperties;
use pointd::commands::produce::form::Form;

use crate::brokers::kafka::publish;
use crate::{Broker, Brokers, Line, median, run, written, written_to};

const GOOD_IN_A_ROW: usize = 9;
const DIM: usize = 128;

/// The good messages of a line; and of as many, what is bad of them.
struct Messages {
    good: Vec<Vec<u8>>,
    /// How it is called, and the messages.
    bad: [(&'static str, Vec<Vec<u8>>); 2],
}

impl Messages {
    fn new(points: u64) -> Messages {
        let good = written(Form::Json, 1, DIM, points);
        let cut = good.iter().map(|message| message[..message.len() / 2].to_vec()).collect();
        let refused = written_to("unknown", Form::Json, 1, DIM, points);
        Messages { good, bad: [("cut off", cut), ("for an unknown collection", refused)] }
    }

    /// Those of one of `partitions`, with bad ones between them.
    fn of<'a>(
        &'a self,
        bad: Option<&'a [Vec<u8>]>,
        partition: usize,
        partitions: usize,
    ) -> impl Iterator<Item = &'a [u8]> {
        let own = (partition..self.good.len()).step_by(partitions);
        own.enumerate().flat_map(move |(at, message)| {
            let bad = bad.filter(|_| at % GOOD_IN_A_ROW == 0).map(|bad| &bad[message][..]);
            [Some(&self.good[message][..]), bad].into_iter().flatten()
        })
    }
}

pub fn print<'a>(
    brokers: impl Iterator<Item = Brokers<'a>>,
    points: u64,
    partitions: i32,
    rounds: usize,
) {
    let messages = Messages::new(points);
    println!("| broker | every tenth is | good messages/s | without it | ratio |");
    println!("|---|---|---|---|---|");
    for brokers in brokers {
        let broker = match brokers {
            Brokers::Kafka(_) => Broker::Kafka,
            Brokers::RabbitMq(_) => Broker::RabbitMq,
        };
        let line = Line { broker, form: Form::Json, per_message: 1, dim: DIM, points, partitions };
        for (at, (name, bad)) in messages.bad.iter().enumerate() {
            let rate = |place: String, bad| rate(&line, &brokers, &messages, &place, bad);
            let results = (0..rounds).map(|round| {
                let clean = rate(format!("clean-{at}-{round}"), None);
                (rate(format!("poisoned-{at}-{round}"), Some(bad)), clean)
            });
            let (poisoned, clean, ratio) = median(results.collect());
            println!("| {broker:?} | {name} | {poisoned:.0} | {clean:.0} | {ratio:.2} |");
        }
    }
    println!();
}

/// Good messages a second, through a topic or queue of its own.
fn rate(
    line: &Line,
    brokers: &Brokers<'_>,
    messages: &Messages,
    place: &str,
    bad: Option<&Vec<Vec<u8>>>,
) -> f64 {
    let bad = bad.map(Vec::as_slice);
    match brokers {
        Brokers::Kafka(kafka) => {
            kafka.create_topic(place, line.partitions);
            let (producer, partitions) = (kafka.producer(), line.partitions as usize);
            for partition in 0..line.partitions {
                let own = messages.of(bad, partition as usize, partitions);
                publish(&producer, place, partition, own);
            }
        }
        Brokers::RabbitMq(rabbit) => {
            rabbit.declare(place, false);
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let all = messages.of(bad, 0, 1).map(|message| (message, persistent.clone()));
            rabbit.publish_with(place, all.collect());
        }
    }
    let took = run::pointd(line, brokers, place);
    match brokers {
        Brokers::Kafka(kafka) => kafka.delete_topic(place),
        Brokers::RabbitMq(rabbit) => rabbit.delete(place),
    }
    line.messages() as f64 / took.as_secs_f64()
}
