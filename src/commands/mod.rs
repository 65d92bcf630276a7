//! The command line: arguments, then configuration, then one command.

mod check;
mod client;
mod dead_letters;
mod log;
pub mod produce;
pub mod sample;
mod serve;
pub mod wal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Overrides};

/// Turns Kafka topics and RabbitMQ queues of point operations into a durable, queryable
/// vector collection.
#[derive(Debug, Parser)]
#[command(name = "pointd", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Serve(serve::ServeArgs),
    /// Validate a configuration and print what it amounts to, without secrets.
    Check(ConfigArgs),
    /// Publish a file or generated points to Kafka or RabbitMQ.
    Produce(produce::ProduceArgs),
    /// Look into the log.
    #[command(subcommand)]
    Wal(wal::WalCommand),
    /// Look at messages that could not be applied, try them again, or give them up.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file (TOML). Every key can be overridden by an environment variable:
    /// POINTD__API__LISTEN for api.listen.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Overrides api.listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Overrides storage.dir.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl ConfigArgs {
    fn overrides(&self) -> Overrides {
        let flags = [("api.listen", &self.listen), ("storage.dir", &self.data_dir)];
        let given = flags
            .into_iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), value.clone())));
        Overrides(given.collect())
    }
}

/// What a command that fails says.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Produce(args) => produce::run(args).map_err(Into::into),
        Command::Wal(command) => wal::run(&command),
        Command::DeadLetters(command) => dead_letters::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error's own text says its cause too.
            eprintln!("pointd: {error}");
            // EX_CONFIG: starting again without a change is of no use.
            match error.is::<ConfigError>() {
                true => ExitCode::from(78),
                false => ExitCode::FAILURE,
            }
        }
    }
}
