use storage::shards;

use crate::support;

#[tokio::test]
async fn every_shard_is_listed_with_its_slots_and_replicas() {
    let settings = support::settings(&support::flags().await);

    let reports = shards::list(&settings.storage).await.unwrap();

    let slots = reports
        .iter()
        .map(|shard| shard.active_slots + shard.other_slots);
    assert_eq!(slots.sum::<i64>(), 1024);
    assert!(
        reports
            .iter()
            .all(|shard| shard.replicas[0].lag_bytes.is_some())
    );
    assert!(reports[0].to_string().starts_with("a  active "));
}
