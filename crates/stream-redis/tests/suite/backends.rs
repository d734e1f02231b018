//! How the tests reach a server: all share it, each case has its own queues.

pub(crate) mod nodes;
pub(crate) mod own;

use std::{env, sync::Arc};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{CustomCommand, Value, config::Config},
};
use stream_core::{Driver, JobId, QueueName, Result};
use stream_redis::RedisDriver;
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend, service_url};

pub(crate) const SINGLE: &str = "STREAM_TEST_REDIS_URL";
pub(crate) const CLUSTER: &str = "STREAM_TEST_REDIS_CLUSTER_URL";

/// What child processes of the crash tier are told.
const CHILD: &str = "STREAM_TEST_REDIS_CHILD_URL";

#[derive(Debug)]
pub(crate) struct RedisBackend {
    url: String,
}

/// One server.
pub(crate) async fn single() -> Result<RedisBackend, Skip> {
    Ok(RedisBackend { url: service_url(SINGLE)? })
}

/// Three masters that share the slots.
pub(crate) async fn cluster() -> Result<RedisBackend, Skip> {
    Ok(RedisBackend { url: service_url(CLUSTER)? })
}

/// A client without this driver.
pub(crate) async fn bare(url: &str) -> Client {
    let client = Client::new(Config::from_url(url).unwrap(), None, None, None);
    client.init().await.unwrap();
    client
}

#[async_trait]
impl Backend for RedisBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(RedisDriver::connect(&self.url).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the keys: a job, its id in a list, and a mark for who waits.
        let client = bare(&self.url).await;
        let id = Value::Bytes(JobId::new().as_bytes().to_vec().into());
        let key = |name: &str| Value::from(format!("stream:{{{queue}}}:{name}"));
        let commands = [
            ("HSET", vec![key("jobs"), id.clone(), Value::Bytes(bytes.into())]),
            ("RPUSH", vec![key("ready:default"), id]),
            ("ZADD", vec![key("wake"), Value::from("0"), Value::from("")]),
        ];
        for (name, arguments) in commands {
            let _: Value =
                client.custom(CustomCommand::new_static(name, None, false), arguments).await.unwrap();
        }
        client.quit().await.unwrap();
        Ok(())
    }
}

#[async_trait]
impl CrashBackend for RedisBackend {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(CHILD.into(), self.url.clone())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(RedisDriver::connect(&env::var(CHILD).unwrap()).await?))
    }
}
