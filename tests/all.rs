//! One test binary: it links FAISS and librdkafka once instead of twenty times.

mod brokers;
mod clients;
mod contract;
mod cpu;
mod dead_letters;
mod durable;
mod faults;
mod formats;
mod harness;
mod pipeline;
mod poison;
mod produce;
mod python;
mod read_your_writes;
mod recall;
mod restart;
mod sources;
mod tidy;
mod without;
