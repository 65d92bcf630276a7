//! One test binary: it links FAISS and librdkafka once instead of twenty times.

mod brokers;
mod durable;
mod sources;
mod tidy;
