//! `pointd wal inspect DIR`: what is in a log, as a table. Changes nothing, and works on a
//! damaged log as well as beside a running daemon.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Subcommand;
use humantime_serde::re::humantime;

use super::CommandError;
use crate::operation::{Body, decode};
use crate::position::UnixMillis;
use crate::wal::inspect::{Fact, FrameFacts, HeaderFacts, RecordFacts, walk};

#[derive(Debug, Subcommand)]
pub(super) enum WalCommand {
    /// Print the frames of a log, its last positions, and the first bad byte if there is one.
    Inspect {
        /// The log: `wal` in the data directory.
        dir: PathBuf,
        /// Print each record too.
        #[arg(long)]
        records: bool,
    },
}

/// An error too if the log is damaged.
pub(super) fn run(command: &WalCommand) -> Result<(), CommandError> {
    let WalCommand::Inspect { dir, records } = command;
    let show = if *records { Show::Records } else { Show::Frames };
    match inspect(dir, show, &mut io::stdout().lock()) {
        Ok(Summary { faults: 0, .. }) => Ok(()),
        Ok(Summary { faults, .. }) => Err(format!("the log is damaged in {faults} places").into()),
        // Whoever reads the table has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(format!("{}: {error}", dir.display()).into()),
    }
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A line for each frame.
    Frames,
    /// And one for each of its records.
    Records,
}

/// What was found, for the exit code and the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub files: u64,
    pub frames: u64,
    pub records: u64,
    /// Places where the log is damaged: `serve` would refuse it.
    pub faults: u64,
    /// The last write was interrupted, or is going on: `serve` would cut it off.
    pub torn: bool,
}

/// Prints the log in `directory`. An error is one of reading the directory or of `out`.
pub fn inspect(directory: &Path, show: Show, out: &mut impl Write) -> io::Result<Summary> {
    let mut table = Table { show, out, summary: Summary::default() };
    walk(directory, &mut |fact| table.print(fact))?;
    let Table { out, summary, .. } = table;
    let Summary { files, frames, records, faults, torn } = summary;
    write!(out, "{files} files, {frames} frames, {records} records: ")?;
    match (faults, torn) {
        (0, false) => writeln!(out, "sound")?,
        (0, true) => writeln!(out, "sound, up to an interrupted write at the end")?,
        (faults, _) => writeln!(out, "damaged in {faults} places")?,
    }
    Ok(summary)
}

struct Table<'a, W> {
    show: Show,
    out: &'a mut W,
    summary: Summary,
}

impl<W: Write> Table<'_, W> {
    fn print(&mut self, fact: Fact) -> io::Result<()> {
        // Only the end of the last file can be an interrupted write.
        if std::mem::take(&mut self.summary.torn) {
            self.summary.faults += 1;
        }
        match fact {
            Fact::File { path, bytes, header } => {
                self.summary.files += 1;
                writeln!(self.out, "{} ({bytes} bytes)", path.display())?;
                match header {
                    Ok(header) => self.header(&header),
                    Err(fault) => self.fault(format_args!("its header is damaged: {fault}")),
                }
            }
            Fact::Frame(frame) => self.frame(&frame),
            Fact::Bad { offset, fault, next_frame: Some(next) } => self.fault(format_args!(
                "bytes {offset} to {next} are damaged: {fault}; a whole frame follows"
            )),
            Fact::Bad { offset, fault, next_frame: None } => {
                self.summary.torn = true;
                writeln!(self.out, "  broken from byte {offset} on: {fault}")
            }
            Fact::End { offset, successor: Some(successor) } => {
                writeln!(self.out, "  closed at byte {offset}; goes on in {successor}")
            }
            Fact::End { offset, successor: None } => {
                writeln!(self.out, "  ends at byte {offset}")
            }
            Fact::Missing { number } => {
                self.fault(format_args!("log file number {number} is missing"))
            }
            Fact::Misnamed { path } => {
                self.fault(format_args!("{} is no log file's name", path.display()))
            }
            Fact::Gone { path } => writeln!(self.out, "{}: removed meanwhile", path.display()),
        }
    }

    fn fault(&mut self, what: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.summary.faults += 1;
        writeln!(self.out, "! {what}")
    }

    fn header(&mut self, header: &HeaderFacts) -> io::Result<()> {
        let carried = if header.carried { ", a copy of the last of the file before" } else { "" };
        writeln!(
            self.out,
            "  log {}, file {}, from seq {}, from frame {}{carried}",
            header.log_id, header.number, header.first_seq, header.first_frame
        )?;
        writeln!(
            self.out,
            "  {:>10} {:>10} {:>8} {:>12} {:>12} {:>7} {:>8}",
            "offset", "bytes", "frame", "first seq", "last seq", "records", "crc32c"
        )
    }

    fn frame(&mut self, frame: &FrameFacts) -> io::Result<()> {
        self.summary.frames += 1;
        self.summary.records += frame.records.len() as u64;
        writeln!(
            self.out,
            "  {:>10} {:>10} {:>8} {:>12} {:>12} {:>7} {:08x}",
            frame.offset,
            frame.bytes,
            frame.number,
            frame.first,
            frame.last,
            frame.records.len(),
            frame.checksum
        )?;
        match self.show {
            Show::Frames => Ok(()),
            Show::Records => frame.records.iter().try_for_each(|record| self.record(record)),
        }
    }

    fn record(&mut self, record: &RecordFacts) -> io::Result<()> {
        let position = match &record.position {
            None => "-".to_owned(),
            Some(Ok(position)) => position.to_string(),
            Some(Err(error)) => format!("! {error}"),
        };
        let (seq, time, bytes) = (record.seq, time(record.time), record.body.len());
        let decided = match decode(record.body.clone()) {
            Ok(Body::Moved { why: Some(why) } | Body::Start { why: Some(why), .. }) => {
                format!("  decided: {why}")
            }
            _ => String::new(),
        };
        writeln!(self.out, "      seq {seq:<12} {time}  {bytes:>9} bytes  {position}{decided}")
    }
}

/// RFC 3339; the bare number where that has no year for it.
fn time(time: UnixMillis) -> String {
    const YEAR_10000: u64 = 253_402_300_800_000;
    match UNIX_EPOCH.checked_add(Duration::from_millis(time.0)) {
        Some(moment) if time.0 < YEAR_10000 => humantime::format_rfc3339_millis(moment).to_string(),
        _ => format!("{} ms", time.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that an older version of this crate wrote: five files, twelve records.
    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wal-v1")
    }

    fn inspected(directory: &Path, show: Show) -> (Summary, String) {
        let mut out = vec![];
        let summary = inspect(directory, show, &mut out).unwrap();
        (summary, String::from_utf8(out).unwrap())
    }

    /// The fixture, with one of its files changed or (`None`) removed.
    fn spoilt(
        index: usize,
        spoil: impl Fn(Vec<u8>) -> Option<Vec<u8>>,
    ) -> (tempfile::TempDir, Summary, String) {
        let home = tempfile::tempdir().unwrap();
        let mut files: Vec<_> =
            std::fs::read_dir(fixture()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (at, file) in files.iter().enumerate() {
            let bytes = std::fs::read(file).unwrap();
            let bytes = if at == index { spoil(bytes) } else { Some(bytes) };
            if let Some(bytes) = bytes {
                std::fs::write(home.path().join(file.file_name().unwrap()), bytes).unwrap();
            }
        }
        let (summary, text) = inspected(home.path(), Show::Frames);
        (home, summary, text)
    }

    #[test]
    fn a_sound_log_is_shown_whole() {
        let (summary, text) = inspected(&fixture(), Show::Records);
        let expected = Summary { files: 5, frames: 6, records: 12, faults: 0, torn: false };
        assert_eq!(summary, expected, "{text}");
        assert!(text.ends_with(": sound\n"));
        assert!(text.contains("goes on in 00000000000000000004-0000000002.wal"));
        assert!(text.contains("seq 4            1970-01-01T00:16:40.004Z"));
        assert!(text.contains("points/0 next 4"));
    }

    #[test]
    fn damage_is_named_and_passed() {
        let flip = |at: usize| {
            move |mut bytes: Vec<u8>| {
                bytes[at] ^= 1;
                Some(bytes)
            }
        };
        let (_home, summary, text) = spoilt(0, flip(100));
        assert_eq!((summary.faults, summary.frames), (1, 5), "{text}");
        assert!(text.contains("bytes 64 to "), "{text}");
        let (_home, summary, text) = spoilt(1, flip(10));
        assert_eq!(summary.faults, 1, "{text}");
        assert!(text.contains("its header is damaged: the header's checksum is wrong"));
        let (_home, summary, text) = spoilt(4, flip(100));
        assert_eq!((summary.faults, summary.torn), (0, true), "{text}");
        let (_home, summary, text) = spoilt(0, |bytes| Some(bytes[..200].to_vec()));
        assert_eq!((summary.faults, summary.torn), (1, false), "{text}");
    }

    #[test]
    fn a_missing_file_is_named_once() {
        for (index, number) in [(1, 2), (4, 5)] {
            let (_home, summary, text) = spoilt(index, |_| None);
            assert_eq!(summary.faults, 1, "{text}");
            assert!(text.contains(&format!("log file number {number} is missing")), "{text}");
        }
        inspect(Path::new("/no/such/directory"), Show::Frames, &mut vec![]).unwrap_err();
    }
}
