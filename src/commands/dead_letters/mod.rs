//! `pointd dead-letters`: looks at what could not be applied, and decides about it, through the
//! running daemon.

mod print;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::CommandError;
use super::client::{Client, DaemonArgs};

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// List what is kept, oldest first.
    List(ListArgs),
    /// Show one letter whole.
    Show(ShowArgs),
    /// Try letters again, as their source would decode and apply them today.
    Redrive(RedriveArgs),
    /// Give letters up.
    Drop(DropArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Only those of this source (`http`: of none).
    #[arg(long)]
    source: Option<String>,
    /// Only those with this reason.
    #[arg(long)]
    reason: Option<String>,
    /// The most letters to list.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// The first seq to list.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    offset: u64,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    seq: u64,
    #[arg(long)]
    json: bool,
    /// Write the message's value and nothing else: to a file that is mended and given back with
    /// `redrive --value-file`.
    #[arg(long, conflicts_with = "json")]
    value: bool,
}

/// Which letters are meant.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true)
    .args(["seqs", "source", "reason", "all"]))]
struct Which {
    #[arg(value_name = "SEQ", conflicts_with_all = ["source", "reason", "all"])]
    seqs: Vec<u64>,
    /// Those of this source (`http`: of none).
    #[arg(long, conflicts_with = "all")]
    source: Option<String>,
    /// Those with this reason.
    #[arg(long, conflicts_with = "all")]
    reason: Option<String>,
    #[arg(long)]
    all: bool,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RedriveArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    which: Which,
    /// For one letter: try the content of this file in place of what was delivered. Text is taken
    /// as JSON, anything else as of the kind that the letter's headers say.
    #[arg(long, value_name = "FILE", requires = "seqs")]
    value_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DropArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    which: Which,
}

/// How often letters are asked for again for which the log had no room.
const TAKING_TRIES: u32 = 5;
const TAKING_PAUSE: Duration = Duration::from_secs(1);

/// An error too if anything was refused.
pub(super) fn run(command: &DeadLettersCommand) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let done = match command {
        DeadLettersCommand::List(args) => list(args, &mut out),
        DeadLettersCommand::Show(args) => show(args, &mut out),
        DeadLettersCommand::Redrive(args) => {
            let value = args.value_file.as_deref().map(mended).transpose()?;
            decide("redrive", &args.daemon, &args.which, value, &mut out)
        }
        DeadLettersCommand::Drop(args) => decide("drop", &args.daemon, &args.which, None, &mut out),
    };
    match done {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &CommandError) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

fn list(args: &ListArgs, out: &mut impl Write) -> Result<(), CommandError> {
    let mut query = vec![
        ("limit", args.limit.to_string()),
        ("offset", args.offset.to_string()),
        ("with_original", args.json.to_string()),
    ];
    for (name, given) in [("source", &args.source), ("reason", &args.reason)] {
        query.extend(given.iter().map(|value| (name, value.clone())));
    }
    let page = Client::new(&args.daemon)?.get("/dead-letters", &query)?;
    let letters = page["dead_letters"].as_array().map_or(&[][..], Vec::as_slice);
    if args.json {
        return Ok(letters.iter().try_for_each(|letter| writeln!(out, "{letter}"))?);
    }
    print::table(letters, out)?;
    writeln!(out, "{} of {}", letters.len(), page["total"])?;
    if let Some(next) = page["next_page_offset"].as_u64() {
        writeln!(out, "the next: --offset {next}")?;
    }
    Ok(())
}

fn show(args: &ShowArgs, out: &mut impl Write) -> Result<(), CommandError> {
    let letter = Client::new(&args.daemon)?.get(&format!("/dead-letters/{}", args.seq), &[])?;
    if args.json {
        return Ok(writeln!(out, "{letter}")?);
    }
    if args.value {
        if letter["original"]["value"].is_null() {
            return Err("it is a tombstone: it has a key and no value".into());
        }
        return Ok(out.write_all(&bytes(&letter["original"]["value"])?)?);
    }
    Ok(print::letter(&letter, out)?)
}

/// What the daemon gave as text or base64.
fn bytes(content: &Value) -> Result<Vec<u8>, CommandError> {
    match (&content["text"], &content["base64"]) {
        (Value::String(text), _) => Ok(text.as_bytes().to_vec()),
        (_, Value::String(base64)) => Ok(STANDARD.decode(base64)?),
        _ => Err("the daemon gave no value: is it of another version?".into()),
    }
}

fn mended(file: &Path) -> Result<Value, CommandError> {
    let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(match String::from_utf8(content) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "base64": STANDARD.encode(error.as_bytes()) }),
    })
}

/// Page by page, so that however many there are, no request takes long. What the log had no room
/// for is asked for again, a few times.
fn decide(
    verb: &str,
    daemon: &DaemonArgs,
    which: &Which,
    value: Option<Value>,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let client = Client::new(daemon)?;
    let ask = |body: &Value| client.post(&format!("/dead-letters/{verb}"), body);
    let mut body = which.body();
    if let Some(value) = value {
        body["value"] = value;
    }
    let mut tally = print::Tally::default();
    let mut told = |letter: &Value| {
        tally.count(letter);
        match which.json {
            true => writeln!(out, "{letter}"),
            false => print::decided(letter, out),
        }
    };
    let mut not_taken = decide_pages(&ask, body.clone(), &mut told)?;
    for _ in 0..TAKING_TRIES {
        if not_taken.is_empty() {
            break;
        }
        std::thread::sleep(TAKING_PAUSE);
        body = again(&body, &not_taken);
        not_taken = decide_pages(&ask, body.clone(), &mut told)?;
    }
    not_taken.iter().try_for_each(told)?;
    if !which.json {
        writeln!(out, "{tally}")?;
    }
    match tally.not_done() {
        0 => Ok(()),
        count => Err(format!("{count} of {} letters stay", tally.all()).into()),
    }
}

/// Tells of all but those that were not taken, and gives these.
fn decide_pages(
    ask: &dyn Fn(&Value) -> Result<Value, CommandError>,
    mut body: Value,
    told: &mut dyn FnMut(&Value) -> io::Result<()>,
) -> Result<Vec<Value>, CommandError> {
    let mut not_taken = Vec::new();
    loop {
        let answer = ask(&body)?;
        for letter in answer["letters"].as_array().map_or(&[][..], Vec::as_slice) {
            match letter["status"] == "not_taken" {
                true => not_taken.push(letter.clone()),
                false => told(letter)?,
            }
        }
        match &answer["next_page_offset"] {
            Value::Null => return Ok(not_taken),
            next => body["offset"] = next.clone(),
        }
    }
}

/// The same request for these letters alone.
fn again(body: &Value, letters: &[Value]) -> Value {
    let seqs: Vec<&Value> = letters.iter().map(|letter| &letter["seq"]).collect();
    let mut again = json!({ "dry_run": body["dry_run"], "seqs": seqs });
    if let Some(value) = body.get("value") {
        again["value"] = value.clone();
    }
    again
}

impl Which {
    fn body(&self) -> Value {
        let mut body = json!({ "dry_run": self.dry_run });
        if !self.seqs.is_empty() {
            body["seqs"] = json!(self.seqs);
        }
        for (name, given) in [("source", &self.source), ("reason", &self.reason)] {
            if let Some(value) = given {
                body[name] = json!(value);
            }
        }
        if self.all {
            body["all"] = json!(true);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_is_not_taken_is_given_back_and_the_rest_told() {
        let pages = RefCell::new(vec![
            json!({"letters": [{"seq": 9, "status": "applied"}], "next_page_offset": null}),
            json!({"letters": [{"seq": 3, "status": "applied"}, {"seq": 4, "status": "not_taken"}],
                "next_page_offset": 9}),
        ]);
        let asked = RefCell::new(Vec::new());
        let ask = |body: &Value| {
            asked.borrow_mut().push(body["offset"].clone());
            Ok(pages.borrow_mut().pop().unwrap())
        };
        let mut told = Vec::new();
        let mut tell = |letter: &Value| {
            told.push(letter["seq"].as_u64());
            Ok(())
        };
        let body = json!({"all": true, "dry_run": false});
        let left = decide_pages(&ask, body.clone(), &mut tell).unwrap();
        assert_eq!(told, [Some(3), Some(9)]);
        assert_eq!(*asked.borrow(), [Value::Null, json!(9)]);
        assert_eq!(again(&body, &left), json!({"dry_run": false, "seqs": [4]}));
    }
}
