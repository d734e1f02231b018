//! On a cluster: queues are spread over the masters, each with all that belongs to it in one slot.

use std::{slice, time::Duration};

use stream_core::{Draft, Driver, Outcome, Reserve, Settlement};
use stream_redis::{RedisConfig, RedisDriver};
use stream_testkit::service_url;

use crate::backends::{CLUSTER, nodes::Nodes};

#[tokio::test]
async fn queues_are_spread_over_all_masters() {
    let url = match service_url(CLUSTER) {
        Ok(url) => url,
        Err(skip) => return skip.report("own::cluster::queues_are_spread_over_all_masters"),
    };
    let prefix = format!("own{}", std::process::id());
    let driver = RedisDriver::connect_with(&url, RedisConfig::new().prefix(&prefix)).await.unwrap();
    let nodes = Nodes::of(&url).await;
    for (place, queue) in nodes.one_queue_each().await.iter().enumerate() {
        let push = async |delay: u64, key: Option<&str>| {
            let mut draft = Draft::named("x", &1).delay(Duration::from_secs(delay));
            if let Some(key) = key {
                draft = draft.unique(key);
            }
            driver.push(queue, &[draft.into_job().unwrap()]).await.remove(0).unwrap();
        };
        push(0, Some("one")).await;
        push(60, None).await;
        push(0, None).await;
        let subscription = driver.subscribe(slice::from_ref(queue)).await.unwrap();
        let limit = stream_core::RateLimit::per_second(100);
        let taken = subscription.reserve(queue, Reserve::new(1).rate_limit(limit)).await.unwrap();
        let bury = Outcome::Bury { error: "no luck".into() };
        driver.settle(queue, &[Settlement::new(&taken[0], &bury)]).await.remove(0).unwrap();
        subscription.reserve(queue, Reserve::new(1)).await.unwrap();

        for name in ["jobs", "notes", "claims", "dead", "takes", "wake", "leased:default", "delayed:default"]
        {
            assert!(nodes.has(place, &format!("{prefix}:{{{queue}}}:{name}")).await, "{name} of {queue}");
        }
        driver.clear(queue).await.unwrap();
        driver.dead_letters().unwrap().clear(queue).await.unwrap();
    }
    assert_eq!(driver.check().await.unwrap(), []);
    driver.close().await.unwrap();
}
