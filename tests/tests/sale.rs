//! Many buyers, few units.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use devstack::service::Service;
use devstack::shop::Refusal;
use devstack::verify;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use testkit::System;
use tests::stall::{Stall, run_sql};

const BUYERS: usize = 200;
const UNITS: i64 = 50;
const CONCURRENCY: usize = 16;

async fn sell(stall: &Stall) -> Vec<Result<Value, Refusal>> {
    let buyers = stream::iter(0..BUYERS).map(async |_| stall.buyer(1).await.unwrap());
    let buyers: Vec<_> = buyers.buffer_unordered(CONCURRENCY).collect().await;
    stream::iter(buyers)
        .map(async |buyer| {
            let order = buyer
                .place_until_decided("the-only-order", "tok_ok")
                .await?;
            let order_id = order["id"].as_str().unwrap();
            Ok(buyer
                .expect_status(order_id, &["confirmed", "rejected"])
                .await)
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

#[tokio::test]
async fn of_200_buyers_of_50_units_exactly_50_get_one() {
    let system = System::start(&[]).await;
    let stall = Stall::open(&system.platform, UNITS).await.unwrap();

    let answers = sell(&stall).await;

    let confirmed = answers
        .iter()
        .flatten()
        .filter(|order| order["status"] == "confirmed");
    assert_eq!(confirmed.count(), 50);
    let refusals: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    let rejected = answers
        .iter()
        .flatten()
        .filter(|order| order["status"] == "rejected");
    assert_eq!(refusals.len() + rejected.count(), 150);
    for refusal in refusals {
        assert_eq!(refusal.problem["code"], "out-of-stock", "{refusal}");
        assert_eq!(refusal.problem["sku"], stall.sku, "{refusal}");
    }
    stall.expect_agreement().await;
    stall.expect_available(0).await;
}

#[tokio::test]
async fn a_stock_that_is_read_and_then_written_is_caught_overselling() {
    let mutant = [(Service::Inventory, "READ_THEN_WRITE", "true")];
    let system = System::start(&mutant).await;
    // The last line of defence would hide what the first one lets through.
    let drop_checks = "do $$ declare name text; begin
        for name in select conname from pg_constraint
            where conrelid = 'stock'::regclass and contype = 'c' loop
            execute format('alter table stock drop constraint %I', name);
        end loop;
    end $$;";
    run_sql(&system.platform, Service::Inventory, drop_checks)
        .await
        .unwrap();
    let stall = Stall::open(&system.platform, UNITS).await.unwrap();

    let answers = sell(&stall).await;

    let confirmed = answers
        .iter()
        .flatten()
        .filter(|order| order["status"] == "confirmed");
    let oversold = confirmed.count() > 50;
    let findings = verify::check(&system.platform, 60).await.unwrap();
    assert!(oversold || !findings.is_empty(), "the mutant went unseen");
}
