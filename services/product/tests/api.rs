//! The product service as its callers see it, on real databases whose replicas lag.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "api/harness.rs"]
mod harness;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use chassis::{Caller, fault};
use futures::future::join_all;
use harness::{Client, Harness, product, variant};
use proto::common::v1::PageRequest;
use proto::product::v1 as wire;
use tonic::{Code, Status};

const LIMIT: Duration = Duration::from_secs(10);

fn reason(status: &Status) -> String {
    fault::reason(status).unwrap_or_default()
}

async fn shop(category: &str) -> Client {
    let staff = Harness::get().staff().await;
    staff.create_category(category).await.unwrap();
    staff
}

#[tokio::test]
async fn staff_read_their_own_writes_at_once() {
    let staff = shop("own-writes").await;

    let created = staff
        .create(product("own-writes", "plain-bowl", 1_500))
        .await
        .unwrap();
    let change = wire::UpdateProductRequest {
        product_id: created.product_id.clone(),
        expected_version: created.version,
        name: Some("Deep bowl".to_owned()),
        ..Default::default()
    };
    let updated = staff.update(change).await.unwrap();

    assert_eq!((created.version, updated.version), (1, 2));
    assert_eq!(
        staff.get(&created.product_id).await.unwrap().name,
        "Deep bowl"
    );
    assert_eq!(staff.get_by_slug("plain-bowl").await.unwrap(), updated);
}

/// Many more than a shard has connections.
#[tokio::test]
async fn a_crowd_of_writes_is_served() {
    let staff = shop("crowd").await;
    let slugs: Vec<_> = (0..32).map(|number| format!("crowd-{number}")).collect();

    let crowd = slugs
        .iter()
        .map(|slug| staff.create(product("crowd", slug, 100)));
    let made: Result<Vec<_>, Status> = join_all(crowd).await.into_iter().collect();

    assert_eq!(made.unwrap().len(), slugs.len());
}

#[tokio::test]
async fn of_a_crowd_of_changes_to_one_version_one_is_made() {
    let staff = shop("contested").await;
    let created = staff
        .create(product("contested", "contested-bowl", 100))
        .await
        .unwrap();
    let change = |number| wire::UpdateProductRequest {
        product_id: created.product_id.clone(),
        expected_version: created.version,
        name: Some(format!("Bowl {number}")),
        ..Default::default()
    };

    let crowd = (0..32).map(|number| staff.update(change(number)));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(crowd).await.into_iter().partition(Result::is_ok);

    assert_eq!(made.len(), 1);
    for refusal in refused {
        assert_eq!(reason(&refusal.unwrap_err()), "VERSION_MISMATCH");
    }
}

#[tokio::test]
async fn a_slug_and_a_sku_belong_to_one_product() {
    let staff = shop("taken").await;
    staff
        .create(product("taken", "first-cup", 100))
        .await
        .unwrap();

    let same_slug = staff
        .create(product("taken", "first-cup", 100))
        .await
        .unwrap_err();
    let mut other = product("taken", "second-cup", 100);
    other.variants[0].sku = "FIRST-CUP".to_owned();
    let same_sku = staff.create(other.clone()).await.unwrap_err();
    other.variants[0].sku = "SECOND-CUP".to_owned();

    assert_eq!(reason(&same_slug), "SLUG_TAKEN");
    assert_eq!(reason(&same_sku), "SKU_TAKEN");
    // The refused try keeps its slug reserved for as long as it might still be on the way.
    assert_eq!(
        reason(&staff.create(other).await.unwrap_err()),
        "SLUG_TAKEN"
    );
}

#[tokio::test]
async fn a_change_of_an_old_version_is_refused() {
    let staff = shop("versions").await;
    let created = staff
        .create(product("versions", "old-jug", 100))
        .await
        .unwrap();
    let change = |version| wire::UpdateProductRequest {
        product_id: created.product_id.clone(),
        expected_version: version,
        variants: Some(wire::Variants {
            values: vec![variant("OLD-JUG", 200), variant("NEW-JUG", 300)],
        }),
        ..Default::default()
    };

    let updated = staff.update(change(1)).await.unwrap();
    let refused = staff.update(change(1)).await.unwrap_err();

    assert_eq!(updated.variants.len(), 2);
    assert_eq!(reason(&refused), "VERSION_MISMATCH");
    assert_eq!(fault::metadata(&refused)["version"], "2");
}

#[tokio::test]
async fn a_deleted_product_is_kept_but_no_longer_listed() {
    let staff = shop("deleted").await;
    let created = staff
        .create(product("deleted", "chipped-plate", 100))
        .await
        .unwrap();
    let request = wire::DeleteProductRequest {
        product_id: created.product_id.clone(),
        expected_version: 1,
    };

    staff
        .call(async |mut client| client.delete_product(request).await)
        .await
        .unwrap();

    assert!(!staff.get(&created.product_id).await.unwrap().active);
    let listed = staff.search(search("deleted", "", 20)).await.unwrap();
    assert_eq!(listed.products, []);
}

fn search(category: &str, cursor: &str, limit: u32) -> wire::SearchProductsRequest {
    wire::SearchProductsRequest {
        category: Some(category.to_owned()),
        page: Some(PageRequest {
            limit,
            cursor: cursor.to_owned(),
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn pages_over_all_shards_show_every_product_once_in_order() {
    let staff = shop("pages").await;
    for i in 0..12 {
        let product = product("pages", &format!("page-{i}"), 100 + i % 3);
        staff.create(product).await.unwrap();
    }

    let (mut seen, mut prices, mut cursor) = (BTreeSet::new(), Vec::new(), String::new());
    loop {
        let mut request = search("pages", &cursor, 5);
        request.set_sort(wire::Sort::Price);
        let page = staff.search(request).await.unwrap();
        for product in &page.products {
            assert!(
                seen.insert(product.product_id.clone()),
                "{} twice",
                product.slug
            );
            prices.push(product.variants[0].price.clone().unwrap().minor_units);
        }
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }

    assert_eq!(seen.len(), 12);
    assert!(prices.is_sorted(), "{prices:?}");
}

#[tokio::test]
async fn a_cursor_that_was_forged_or_is_of_another_order_is_refused() {
    let staff = shop("cursors").await;
    for i in 0..2 {
        staff
            .create(product("cursors", &format!("cursor-{i}"), 100))
            .await
            .unwrap();
    }
    let first = staff.search(search("cursors", "", 1)).await.unwrap();
    let mut by_price = search("cursors", &first.next_cursor, 1);
    by_price.set_sort(wire::Sort::Price);

    for request in [by_price, search("cursors", "forged", 1)] {
        let refused = staff.search(request).await.unwrap_err();

        assert_eq!(reason(&refused), "INVALID_CURSOR");
    }
}

#[tokio::test]
async fn words_are_searched_in_every_form_and_the_last_one_as_a_prefix() {
    let staff = shop("words").await;
    let mut kettle = product("words", "enamelled-kettle", 4_000);
    kettle.description = "Boils water on every stove.".to_owned();
    staff.create(kettle).await.unwrap();
    let found = async |query: &str| {
        let mut request = search("words", "", 20);
        request.query = Some(query.to_owned());
        staff.search(request).await.unwrap().products.len()
    };

    assert_eq!(found("kettles").await, 1);
    assert_eq!(found("boiling water").await, 1);
    assert_eq!(found("enamelled ket").await, 1);
    assert_eq!(found("teapot").await, 0);
    assert_eq!(found("'; drop table products --").await, 0);
}

#[tokio::test]
async fn lists_are_narrowed_by_price_and_attribute() {
    let staff = shop("filters").await;
    let mut wooden = product("filters", "wooden-spoon", 300);
    wooden.attributes = [("material".to_owned(), "wood".to_owned())].into();
    staff.create(wooden).await.unwrap();
    staff
        .create(product("filters", "clay-spoon", 900))
        .await
        .unwrap();
    let slugs = async |request| {
        let found = staff.search(request).await.unwrap();
        found
            .products
            .into_iter()
            .map(|product| product.slug)
            .collect::<Vec<_>>()
    };

    let mut cheap = search("filters", "", 20);
    cheap.max_price = Some(300);
    let mut wood = search("filters", "", 20);
    wood.attributes = [("material".to_owned(), "wood".to_owned())].into();

    assert_eq!(slugs(cheap).await, ["wooden-spoon"]);
    assert_eq!(slugs(wood).await, ["wooden-spoon"]);
    assert_eq!(
        slugs(search("filters", "", 20)).await,
        ["clay-spoon", "wooden-spoon"]
    );
}

#[tokio::test]
async fn variants_are_found_by_sku_and_by_product_for_the_order_service_alone() {
    let staff = shop("variants").await;
    let created = staff
        .create(product("variants", "small-vase", 700))
        .await
        .unwrap();
    let request = wire::BatchGetVariantsRequest {
        skus: vec!["SMALL-VASE".to_owned(), "NO-SUCH-SKU".to_owned()],
        product_ids: vec![created.product_id.clone()],
    };
    let order = Harness::get().caller(Caller::service("order", None)).await;

    let found = testkit::eventually(LIMIT, async || {
        let asked = request.clone();
        let answer = order.call(async |mut client| client.batch_get_variants(asked).await);
        Some(answer.await.unwrap().variants).filter(|variants| !variants.is_empty())
    });
    let found = found.await;
    let refused = staff
        .call(async |mut client| client.batch_get_variants(request).await)
        .await;

    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].sku.as_str(), found[0].name.as_str()),
        ("SMALL-VASE", "small vase")
    );
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn guests_who_wrote_nothing_are_served_by_replicas_and_caches() {
    let staff = shop("guests").await;
    let created = staff
        .create(product("guests", "guest-lamp", 2_000))
        .await
        .unwrap();
    let guest = Harness::get().guest().await;
    testkit::eventually(LIMIT, async || guest.get(&created.product_id).await.ok()).await;
    // Other tests write meanwhile, which reads primaries; so the guest's share is seen by its
    // reads being the replicas': what was just written is not there yet, unless it took long.
    let made = Cell::new(0);
    let unseen = async || {
        made.set(made.get() + 1);
        let slug = format!("fresh-lamp-{}", made.get());
        let fresh = staff.create(product("guests", &slug, 2_000)).await.unwrap();
        let read = guest.get(&fresh.product_id).await;
        let status = read.err()?;
        (status.code() == Code::NotFound).then_some(fresh)
    };

    let fresh = testkit::eventually(LIMIT, unseen).await;

    testkit::eventually(LIMIT, async || guest.get(&fresh.product_id).await.ok()).await;
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let staff = shop("bad-input").await;
    let mut bad = product("no-such-category", "bad-one", 100);
    let unknown = staff.create(bad.clone()).await.unwrap_err();
    bad.variants[0].price = None;
    let no_price = staff.create(bad.clone()).await.unwrap_err();
    bad.variants.clear();
    let no_variant = staff.create(bad).await.unwrap_err();

    let fields =
        [unknown, no_price, no_variant].map(|status| fault::fields(&status)[0].field.clone());

    assert_eq!(fields, ["category", "variants[0].price", "variants"]);
    let bad_id = staff.get("not-an-id").await.unwrap_err();
    assert_eq!(reason(&bad_id), "INVALID_ID");
}
