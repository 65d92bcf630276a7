//! Topic ids, asked with a request of our own.
//!
//! librdkafka tells them only through its C interface. A metadata request is small, so it is
//! written here, for brokers that are reached without TLS and SASL; for others there are no
//! ids, and a topic made anew under its old name is noticed by its offsets only.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use uuid::Uuid;

use super::settings::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 9092;
const METADATA: i16 = 3;
/// The first that asks and answers as written here; Kafka 3.1 and later know it.
const VERSION: i16 = 12;
/// An answer about a few topics is a few kilobytes; this allows for 100 000 partitions.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Whether the brokers can be asked.
pub fn can_ask(settings: &KafkaSettings) -> bool {
    let protocol = settings.properties.0.get("security.protocol");
    protocol.is_none_or(|protocol| protocol.eq_ignore_ascii_case("plaintext"))
}

/// The ids of those of `topics` that exist. An error when no broker could be reached; no ids
/// from a broker that does not know the request.
pub fn topic_ids(brokers: &str, topics: &[String]) -> io::Result<HashMap<String, Uuid>> {
    let mut last = io::Error::from(io::ErrorKind::NotConnected);
    for broker in brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty()) {
        match connect(broker) {
            Ok(connection) => match ask(connection, topics) {
                // An older broker hangs up.
                Err(error) if is_hang_up(&error) => return Ok(HashMap::new()),
                answered => return answered,
            },
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn connect(broker: &str) -> io::Result<TcpStream> {
    let address = broker.rsplit_once("://").map_or(broker, |(_, address)| address);
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let addresses = if has_port {
        address.to_socket_addrs()?
    } else {
        (address, DEFAULT_PORT).to_socket_addrs()?
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(connection) => {
                connection.set_read_timeout(Some(TIMEOUT))?;
                connection.set_write_timeout(Some(TIMEOUT))?;
                return Ok(connection);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut connection: TcpStream, topics: &[String]) -> io::Result<HashMap<String, Uuid>> {
    connection.write_all(&request(topics))?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(malformed());
    }
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer)?;
    parse(Answer(&answer)).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the broker's metadata could not be read")
}

fn request(topics: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    let client = b"pointd";
    body.extend((client.len() as i16).to_be_bytes());
    body.extend(client);
    body.push(0);
    unsigned(&mut body, topics.len() as u64 + 1);
    for topic in topics {
        body.extend([0; 16]);
        unsigned(&mut body, topic.len() as u64 + 1);
        body.extend(topic.as_bytes());
        body.push(0);
    }
    // No topic is created, no access rights are asked for, no tagged fields.
    body.extend([0, 0, 0]);
    let mut request = (body.len() as i32).to_be_bytes().to_vec();
    request.extend(body);
    request
}

fn unsigned(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// What is left of an answer. `None` from any reader: it ends too early.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn unsigned(&mut self) -> Option<usize> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let &[byte] = self.take(1)? else { return None };
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    /// A length is written with one added; 0 stands for null.
    fn length(&mut self) -> Option<usize> {
        Some(self.unsigned()?.saturating_sub(1))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn integers(&mut self) -> Option<()> {
        let bytes = self.length()?.checked_mul(4)?;
        self.take(bytes).map(|_| ())
    }

    fn tagged(&mut self) -> Option<()> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let size = self.unsigned()?;
            self.take(size)?;
        }
        Some(())
    }
}

fn parse(mut answer: Answer<'_>) -> Option<HashMap<String, Uuid>> {
    answer.take(4)?;
    answer.tagged()?;
    answer.take(4)?;
    for _ in 0..answer.length()? {
        answer.take(4)?;
        answer.text()?;
        answer.take(4)?;
        answer.text()?;
        answer.tagged()?;
    }
    answer.text()?;
    answer.take(4)?;
    let mut ids = HashMap::new();
    for _ in 0..answer.length()? {
        answer.take(2)?;
        let name = String::from_utf8_lossy(answer.text()?).into_owned();
        let id = Uuid::from_slice(answer.take(16)?).ok()?;
        answer.take(1)?;
        for _ in 0..answer.length()? {
            answer.take(14)?;
            answer.integers()?;
            answer.integers()?;
            answer.integers()?;
            answer.tagged()?;
        }
        answer.take(4)?;
        answer.tagged()?;
        // The zero id stands for "none": the topic does not exist.
        if !id.is_nil() {
            ids.insert(name, id);
        }
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cut_anywhere_is_refused_and_not_a_panic() {
        let mut whole = vec![0, 0, 0, 1, 0, 0, 0, 0, 0];
        whole.extend([2, 0, 0, 0, 1, 2, b'h', 0, 0, 0x23, 0x84, 0, 0]);
        whole.extend([2, b'c', 0, 0, 0, 1]);
        whole.extend([2, 0, 0, 2, b't']);
        whole.extend([7; 16]);
        whole.push(0);
        whole.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        whole.extend([2, 0, 0, 0, 1, 2, 0, 0, 0, 1, 1, 0]);
        whole.extend([0, 0, 0, 0, 0]);
        whole.push(0);
        let ids = parse(Answer(&whole)).unwrap();
        assert_eq!(ids["t"], Uuid::from_bytes([7; 16]));
        // The last byte is a tagged section that nothing here reads.
        for end in 0..whole.len() - 1 {
            assert!(parse(Answer(&whole[..end])).is_none(), "cut at {end}");
        }
        let endless = [0xff; 64];
        assert!(parse(Answer(&endless)).is_none());
    }
}
