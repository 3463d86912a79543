//! Objects on the server: models and saved trainings.

use anyhow::{Result, ensure};
use async_nats::jetstream::object_store::ObjectStore;
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;

use super::{Broker, OBJECTS};
use crate::cluster::message::LARGEST_OBJECT;

impl Broker {
    async fn objects(&self) -> Result<ObjectStore> {
        Ok(self.jetstream.get_object_store(OBJECTS).await?)
    }

    /// Stores an object under a name, in place of another one.
    pub async fn put_object(&self, name: &str, content: &[u8]) -> Result<()> {
        ensure!(content.len() <= LARGEST_OBJECT, "{name} has {} bytes, more than {LARGEST_OBJECT}", content.len());
        self.objects().await?.put(name, &mut &content[..]).await?;
        Ok(())
    }

    /// An object; `None` if there is none of this name, or it is larger than those that are handed over: no wait helps there.
    pub async fn object(&self, name: &str) -> Result<Option<Vec<u8>>> {
        use async_nats::jetstream::object_store::GetErrorKind;
        let object = match self.objects().await?.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if object.info().size > LARGEST_OBJECT {
            return Ok(None);
        }
        let mut content = Vec::new();
        object.take(LARGEST_OBJECT as u64 + 1).read_to_end(&mut content).await?;
        Ok(Some(content).filter(|content| content.len() <= LARGEST_OBJECT))
    }

    /// Removes an object, if it is there. One that cannot be removed only takes room until it is forgotten.
    pub async fn remove_object(&self, name: &str) {
        if let Ok(objects) = self.objects().await {
            let _ = objects.delete(name).await;
        }
    }

    /// Removes the objects whose names begin like this. Returns the sizes in bytes of those that were removed.
    pub async fn remove_objects(&self, prefix: &str) -> Vec<usize> {
        let Ok(objects) = self.objects().await else { return Vec::new() };
        let Ok(mut list) = objects.list().await else { return Vec::new() };
        let mut found = Vec::new();
        while let Some(Ok(object)) = list.next().await {
            found.extend(Some(object).filter(|object| object.name.starts_with(prefix)));
        }
        let mut removed = Vec::new();
        for object in found {
            let deleted = objects.delete(&object.name).await;
            removed.extend(deleted.ok().map(|()| object.size));
        }
        removed
    }
}
