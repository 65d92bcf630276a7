//! pointd turns Kafka topics and RabbitMQ queues of point operations into a durable, queryable
//! vector collection. `docs/architecture.md` shows the line that data moves on; the rooms are
//! listed here from the plumbing upwards, and imports run strictly downward.

// Rank 0: values and plumbing.
pub mod disk;
pub mod filter;
pub mod metrics;
pub mod point;
pub mod position;
pub mod shutdown;

// Rank 1: brokers, the log, operations, payload indexes, rows, graphs.
pub mod ann;
pub mod index;
pub mod operation;
pub mod rows;
pub mod source;
pub mod wal;

// Rank 2: one collection; the forms that messages come in.
pub mod collection;
pub mod format;

// Rank 3: all collections, positions and dead letters.
pub mod catalog;

// Rank 4: the stages of the line.
pub mod api;
pub mod apply;
pub mod forward;
pub mod ingest;
pub mod maintain;

// Rank 5 to 7: configuration, wiring, commands.
pub mod commands;
pub mod config;
pub mod daemon;
