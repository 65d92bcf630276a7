//! What the configuration asks for and is kept in the data: collections and their indexes.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::StartError;
use super::stages::Stages;
use crate::catalog::Outcome;
use crate::collection::Collection;
use crate::config::CollectionSettings;
use crate::operation::{Message, Operation};

impl Stages {
    /// Creates, through the log, the configured collections that were never created before, and
    /// the indexes that they have not. Sources start after this, so their messages find them.
    pub fn create_configured(
        &self,
        collections: &BTreeMap<String, CollectionSettings>,
    ) -> Result<(), StartError> {
        for (name, settings) in collections {
            let invalid = |detail| StartError::Collection { name: name.clone(), detail };
            self.create_collection(name, settings).map_err(invalid)?;
            if let Some(collection) = self.catalog.collection(name) {
                self.create_indexes(name, &collection, settings).map_err(invalid)?;
            }
        }
        Ok(())
    }

    fn create_collection(&self, name: &str, settings: &CollectionSettings) -> Result<(), String> {
        let schema = settings.schema()?;
        if let Some(collection) = self.catalog.collection(name) {
            if *collection.schema() != schema {
                warn!(
                    collection = name,
                    "exists with another schema than the configuration's, which is not used",
                );
            }
            return Ok(());
        }
        if self.catalog.was_configured(name) {
            info!(collection = name, "was deleted and is not made again");
            return Ok(());
        }
        self.carry_out(name, Operation::CreateCollection { schema, from_config: true })?;
        info!(collection = name, "created from the configuration");
        Ok(())
    }

    fn create_indexes(
        &self,
        name: &str,
        collection: &Collection,
        settings: &CollectionSettings,
    ) -> Result<(), String> {
        for (field, schema) in settings.indexes()? {
            match collection.indexes().into_iter().find(|known| known.field == field) {
                Some(known) if known.schema == schema => {}
                Some(_) => warn!(
                    collection = name,
                    %field,
                    "has another index than the configuration's, which is not used: delete it, \
                     and it is made as configured at the next start",
                ),
                None => {
                    info!(collection = name, %field, "index created from the configuration");
                    let from_config = true;
                    self.carry_out(name, Operation::CreateIndex { field, schema, from_config })?;
                }
            }
        }
        Ok(())
    }

    /// Through the log, and waits until it is applied.
    fn carry_out(&self, collection: &str, operation: Operation) -> Result<(), String> {
        let message = Message {
            collection: collection.to_owned(),
            operations: vec![operation],
            original: None,
            waits: true,
        };
        let written = self.submit().write(message).map_err(|error| error.to_string())?;
        match written.applied.map(tokio::sync::oneshot::Receiver::blocking_recv) {
            Some(Ok(Outcome::Refused(refusal))) => Err(refusal.detail),
            Some(Ok(_)) | None => Ok(()),
            Some(Err(_)) => Err("the applier has ended: see the log".into()),
        }
    }
}
