//! Stock as staff set it and list it.

use chassis::fault;
use futures::future::join_all;
use proto::common::v1::PageRequest;
use proto::inventory::v1 as wire;
use tonic::Code;
use types::Sku;

use super::{assert_sound, harness, order_id, shop, sku, stock};

fn adjust(sku: &Sku, key: &str, delta: i64) -> wire::AdjustStockRequest {
    wire::AdjustStockRequest {
        idempotency_key: key.to_owned(),
        sku: sku.to_string(),
        warehouse_id: "east".to_owned(),
        delta,
        reason: "counted".to_owned(),
    }
}

#[tokio::test]
async fn staff_see_their_own_stock_at_once() {
    let (staff, sku) = (harness().staff().await, sku("OWN-STOCK"));

    let unknown = staff.available(&sku).await;
    let put = staff.put(stock(&sku, "east", 7)).await.unwrap();
    let known = staff.available(&sku).await;
    staff.stock(&sku, "west", 2).await;
    let both = staff.available(&sku).await;

    assert!(!unknown.known);
    assert_eq!(
        (put.on_hand, put.reserved, put.available, put.version),
        (7, 0, 7, 1)
    );
    assert_eq!((known.known, known.available), (true, 7));
    assert_eq!(both.available, 9);
    assert!(both.version > known.version);
}

#[tokio::test]
async fn warehouses_that_get_a_new_sku_at_once_are_counted_together() {
    let (staff, sku) = (harness().staff().await, sku("AT-ONCE"));

    let warehouses = ["a", "b", "c", "d", "e", "f"];
    join_all(warehouses.map(|warehouse| staff.stock(&sku, warehouse, 1))).await;
    let level = staff.available(&sku).await;

    assert_eq!((level.available, level.version), (6, 6));
}

#[tokio::test]
async fn stock_of_another_version_is_not_replaced() {
    let (staff, sku) = (harness().staff().await, sku("VERSIONED"));
    let expecting = |version| wire::PutStockRequest {
        expected_version: Some(version),
        ..stock(&sku, "east", 3)
    };

    let absent = staff.put(expecting(1)).await.unwrap_err();
    staff.stock(&sku, "east", 2).await;
    let other = staff.put(expecting(2)).await.unwrap_err();
    let replaced = staff.put(expecting(1)).await.unwrap();

    assert_eq!(fault::reason(&absent).as_deref(), Some("VERSION_MISMATCH"));
    assert_eq!(fault::reason(&other).as_deref(), Some("VERSION_MISMATCH"));
    assert_eq!((replaced.on_hand, replaced.version), (3, 2));
}

#[tokio::test]
async fn stock_cannot_fall_below_what_orders_hold() {
    let (orders, sku) = shop("BELOW", 5).await;
    let staff = harness().staff().await;
    orders.hold(order_id(), &sku, 4).await;

    let put = staff.put(stock(&sku, "east", 3)).await.unwrap_err();
    let adjusted = staff.adjust(adjust(&sku, "below", -2)).await.unwrap_err();
    staff.adjust(adjust(&sku, "enough", 10)).await.unwrap();
    let repeated = staff.adjust(adjust(&sku, "below", -2)).await.unwrap_err();

    for refused in [put, adjusted, repeated] {
        assert_eq!(fault::reason(&refused).as_deref(), Some("BELOW_RESERVED"));
        assert_eq!(fault::metadata(&refused)["reserved"], "4");
    }
    assert_sound(&sku, 15).await;
}

#[tokio::test]
async fn an_adjustment_is_made_once_for_each_key() {
    let (_, sku) = shop("ADJUSTED", 5).await;
    let staff = harness().staff().await;

    let first = staff.adjust(adjust(&sku, "once", -2)).await.unwrap();
    let again = staff.adjust(adjust(&sku, "once", -2)).await.unwrap();
    let other = staff.adjust(adjust(&sku, "once", -3)).await.unwrap_err();

    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.adjustment_id, again.adjustment_id);
    assert_eq!(first.stock, again.stock);
    assert_eq!(fault::reason(&other).as_deref(), Some("KEY_REUSED"));
    assert_eq!(staff.available(&sku).await.available, 3);
    assert_sound(&sku, 3).await;
}

#[tokio::test]
async fn an_adjustment_needs_stock_to_adjust() {
    let (staff, sku) = (harness().staff().await, sku("NOT-STOCKED"));

    let refused = staff.adjust(adjust(&sku, "absent", 1)).await.unwrap_err();

    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn bad_stock_names_its_field() {
    let (staff, sku) = (harness().staff().await, sku("BAD-STOCK"));
    let good = || stock(&sku, "east", 1);
    let requests = [
        (
            wire::PutStockRequest {
                sku: "a b".to_owned(),
                ..good()
            },
            "sku",
        ),
        (
            wire::PutStockRequest {
                warehouse_id: "East".to_owned(),
                ..good()
            },
            "warehouseId",
        ),
        (
            wire::PutStockRequest {
                on_hand: -1,
                ..good()
            },
            "onHand",
        ),
        (
            wire::PutStockRequest {
                low_stock_threshold: -1,
                ..good()
            },
            "lowStockThreshold",
        ),
        (
            wire::PutStockRequest {
                backorder_limit: 1,
                ..good()
            },
            "backorderLimit",
        ),
    ];

    for (request, field) in requests {
        let refused = staff.put(request).await.unwrap_err();

        assert_eq!(fault::fields(&refused)[0].field, field);
    }
    let refused = staff.adjust(adjust(&sku, "zero", 0)).await.unwrap_err();
    assert_eq!(fault::fields(&refused)[0].field, "delta");
}

#[tokio::test]
async fn low_stock_is_listed_over_all_shards_page_by_page() {
    let staff = harness().staff().await;
    let low: Vec<Sku> = (10..25)
        .map(|number| sku(&format!("ZZ-LOW-{number}")))
        .collect();
    for sku in &low {
        staff.put(low_stock(sku, 2)).await.unwrap();
    }
    staff.put(low_stock(&sku("ZZ-LOW-HIGH"), 3)).await.unwrap();

    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = Some(PageRequest { limit: 4, cursor });
        let request = wire::ListLowStockRequest { page };
        let list = staff.call(async |mut client| client.list_low_stock(request).await);
        let page = list.await.unwrap();
        listed.extend(page.items.into_iter().map(|stock| stock.sku));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }

    listed.retain(|sku| sku.starts_with("ZZ-LOW-"));
    let expected: Vec<String> = low.iter().map(Sku::to_string).collect();
    assert_eq!(listed, expected);
}

fn low_stock(sku: &Sku, on_hand: i64) -> wire::PutStockRequest {
    wire::PutStockRequest {
        low_stock_threshold: 2,
        ..stock(sku, "east", on_hand)
    }
}

#[tokio::test]
async fn a_forged_cursor_is_refused() {
    let staff = harness().staff().await;
    let page = Some(PageRequest {
        limit: 4,
        cursor: "Zm9yZ2Vk".to_owned(),
    });

    let request = wire::ListLowStockRequest { page };
    let refused = staff.call(async |mut client| client.list_low_stock(request).await);

    let refused = refused.await.unwrap_err();
    assert_eq!(fault::reason(&refused).as_deref(), Some("INVALID_CURSOR"));
}
