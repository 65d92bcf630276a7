//! The durable state as a whole (log, catalog, collections) under power cuts, failing disks
//! and damage, against a model of what the records make.

mod damage;
mod failures;
mod fixture;
mod letters;
mod model;
mod node;
mod plan;
mod powercut;
mod threads;
