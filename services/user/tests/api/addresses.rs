//! A customer's address book.

use chassis::Caller;
use proto::common::v1 as common;
use proto::user::v1 as wire;
use testkit::eventually;
use tonic::Code;

use crate::harness::{Harness, LIMIT};
use crate::{address, fields};

#[tokio::test]
async fn an_address_is_its_owners_and_the_order_services_in_their_name() {
    let harness = Harness::get();
    let (customer, tokens) = harness.customer("address@example.com").await;
    let (stranger, _) = harness.customer("stranger@example.com").await;
    let made = customer.add_address(address()).await.unwrap();
    let user_id = tokens.user_id.parse().unwrap();
    let order = harness
        .caller(Caller::service("order", Some(user_id)))
        .await;

    let moved = wire::UpdateAddressRequest {
        address_id: made.address_id.clone(),
        address: Some(common::Address {
            city: "Shelbyville".to_owned(),
            ..address()
        }),
    };
    let strange = stranger.call(async |mut client| client.update_address(moved.clone()).await);
    assert_eq!(strange.await.unwrap_err().code(), Code::NotFound);
    let updated = customer.call(async |mut client| client.update_address(moved.clone()).await);
    let updated = updated.await.unwrap().address.unwrap();

    assert_eq!((updated.version, made.version), (2, 1));
    assert_eq!(customer.addresses().await, std::slice::from_ref(&updated));
    assert_eq!(customer.address(&made.address_id).await.unwrap(), updated);
    assert_eq!(
        stranger.address(&made.address_id).await.unwrap_err().code(),
        Code::NotFound
    );
    assert!(stranger.addresses().await.is_empty());
    eventually(LIMIT, async || order.address(&made.address_id).await.ok()).await;
}

#[tokio::test]
async fn a_deleted_address_is_gone_at_once() {
    let (customer, _) = Harness::get().customer("deleted@example.com").await;
    let address_id = customer.add_address(address()).await.unwrap().address_id;
    let delete = async |address_id: String| {
        let request = wire::DeleteAddressRequest { address_id };
        customer
            .call(async |mut client| client.delete_address(request).await)
            .await
    };

    delete(address_id.clone()).await.unwrap();

    assert!(customer.addresses().await.is_empty());
    assert_eq!(delete(address_id).await.unwrap_err().code(), Code::NotFound);
    let malformed = delete("1".to_owned()).await.unwrap_err();
    assert_eq!(fields(&malformed), ["addressId"]);
}

#[tokio::test]
async fn an_address_with_faults_is_refused_by_their_fields() {
    let (customer, _) = Harness::get().customer("faults@example.com").await;
    let wrong = common::Address {
        postal_code: String::new(),
        country: "XX".to_owned(),
        ..address()
    };

    let refusal = customer.add_address(wrong).await.unwrap_err();

    assert_eq!(fields(&refusal), ["postalCode", "country"]);
}
