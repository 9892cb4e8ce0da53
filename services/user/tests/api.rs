//! The user service as its callers see it, on real databases whose replicas lag.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "api/harness.rs"]
mod harness;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::events::{Event, follow, outbox};
use chassis::{Caller, fault};
use harness::{Harness, LIMIT, PASSWORD};
use proto::common::v1 as common;
use proto::order::v1::OrderConfirmed;
use proto::payment::v1::PaymentRefunded;
use proto::user::v1 as wire;
use testkit::eventually;
use tonic::{Code, Status};
use types::{NaturalKey, OrderId, PaymentId, Routes, SessionId, Slot, UserId};

fn reason(status: &Status) -> String {
    fault::reason(status).unwrap_or_default()
}

fn fields(status: &Status) -> Vec<String> {
    fault::fields(status).into_iter().map(|field| field.field).collect()
}

fn address() -> common::Address {
    common::Address {
        name: "Customer One".to_owned(),
        line1: "1 High Street".to_owned(),
        line2: None,
        city: "Springfield".to_owned(),
        region: None,
        postal_code: "12345".to_owned(),
        country: "US".to_owned(),
    }
}

#[tokio::test]
async fn a_customer_reads_the_own_profile_at_once() {
    let (customer, _) = Harness::get().customer("profile@example.com").await;

    let renamed = wire::UpdateUserRequest {
        name: Some("Customer Two".to_owned()),
        ..Default::default()
    };
    let updated = customer.update(renamed).await.unwrap();
    let read = customer.profile().await.unwrap();

    assert_eq!(read, updated);
    assert_eq!((read.name.as_str(), read.version), ("Customer Two", 2));
    assert_eq!(read.email, "profile@example.com");
    assert_eq!(read.role, wire::Role::Customer as i32);
}

#[tokio::test]
async fn an_email_has_one_account_however_it_is_spelled_and_however_many_ask() {
    let guest = Harness::get().guest().await;

    let spellings = ["one@example.com", "One@Example.com", " ONE@example.com "];
    let asking = spellings.iter().cycle().take(9).map(|email| guest.register(email));
    let answers = futures::future::join_all(asking).await;

    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    }
}

#[tokio::test]
async fn a_reservation_blocks_an_email_no_longer_than_it_lives() {
    let harness = Harness::get();
    let guest = harness.guest().await;
    let email = "reserved@example.com";
    let cluster = harness.cluster().await;
    let slot = Routes::<UserId>::slot(&NaturalKey(email));
    // As a process leaves it that dies before it has written the account.
    let mut tx = cluster.begin(&slot).await.unwrap();
    sqlx::query(
        "insert into directory (slot, kind, key, owner_id, state, expires_at)
         values ($1, 'email', $2, $3, 'reserved', now() + interval '1 minute')",
    )
    .bind(slot.to_db())
    .bind(email)
    .bind(UserId::new(Slot::draw()))
    .execute(&mut tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();

    let early = guest.register(email).await.unwrap_err();
    let mut tx = cluster.begin(&slot).await.unwrap();
    sqlx::query("update directory set expires_at = now() where slot = $1 and key = $2")
        .bind(slot.to_db())
        .bind(email)
        .execute(&mut tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    assert_eq!(reason(&early), "EMAIL_TAKEN");
    assert!(guest.register(email).await.is_ok());
}

#[tokio::test]
async fn bad_input_names_every_field() {
    let guest = Harness::get().guest().await;
    let wrong = wire::RegisterUserRequest {
        email: "nobody".to_owned(),
        password: "short".to_owned(),
        name: String::new(),
    };

    let refusal = guest.call(async |mut client| client.register_user(wrong).await);

    let refusal = refusal.await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(fields(&refusal), ["email", "password", "name"]);
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_are_answered_alike() {
    let guest = Harness::get().guest().await;
    guest.register("known@example.com").await.unwrap();

    let wrong = guest.login("known@example.com", "wrong horse").await.unwrap_err();
    let unknown = guest.login("unknown@example.com", PASSWORD).await.unwrap_err();
    let malformed = guest.login("nobody", PASSWORD).await.unwrap_err();

    assert_eq!(wrong.code(), Code::Unauthenticated);
    for other in [unknown, malformed] {
        assert_eq!((other.code(), other.message()), (wrong.code(), wrong.message()));
        assert_eq!(other.details(), wrong.details());
    }
}

#[tokio::test]
async fn an_access_token_is_verified_with_the_published_keys() {
    let (customer, tokens) = Harness::get().customer("token@example.com").await;
    let keys = customer.call(async |mut client| client.list_keys(wire::ListKeysRequest {}).await);

    let verifier = auth::Verifier::from_jwks(&keys.await.unwrap().jwks).unwrap();
    let claims = verifier.verify(&tokens.access_token).unwrap();

    assert_eq!(claims.user_id.to_string(), tokens.user_id);
    assert_eq!(claims.session_id.to_string(), tokens.session_id);
    assert_eq!(claims.role, auth::Role::Customer);
    assert_eq!(tokens.expires_in_seconds, 900);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use_even_for_two_at_once() {
    let harness = Harness::get();
    let (customer, first) = harness.customer("refresh@example.com").await;

    let (a, b) = tokio::join!(customer.refresh(&first), customer.refresh(&first));
    let (next, refused) = if a.is_ok() { (a, b) } else { (b, a) };
    let next = next.unwrap();

    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    // The honest owner, whose answer may have been lost, is not punished.
    assert_eq!(next.session_id, first.session_id);
    assert!(customer.refresh(&next).await.is_ok());
}

#[tokio::test]
async fn a_late_second_use_of_a_refresh_token_ends_the_whole_family() {
    let harness = Harness::get();
    let revoked = revoked_sessions(harness).await;
    let (customer, first) = harness.customer("stolen@example.com").await;
    let next = customer.refresh(&first).await.unwrap();
    let session_id: SessionId = first.session_id.parse().unwrap();
    let mut tx = harness.cluster().await.begin(&session_id).await.unwrap();
    sqlx::query(
        "update refresh_tokens
         set used_at = used_at - interval '11 seconds'
         where slot = $1 and session_id = $2",
    )
    .bind(session_id.slot().to_db())
    .bind(session_id)
    .execute(&mut tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();

    let second_use = customer.refresh(&first).await.unwrap_err();
    let family = customer.refresh(&next).await.unwrap_err();

    assert_eq!((second_use.code(), family.code()), (Code::Unauthenticated, Code::Unauthenticated));
    until_revoked(&revoked, &first.session_id).await;
}

#[tokio::test]
async fn logging_out_ends_the_session_and_tells_it() {
    let harness = Harness::get();
    let revoked = revoked_sessions(harness).await;
    let (customer, tokens) = harness.customer("logout@example.com").await;

    for _ in 0..2 {
        let out = customer.call(async |mut client| client.logout(wire::LogoutRequest {}).await);
        out.await.unwrap();
    }

    let refusal = customer.refresh(&tokens).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unauthenticated);
    until_revoked(&revoked, &tokens.session_id).await;
}

#[tokio::test]
async fn a_new_password_needs_the_current_one_and_ends_the_other_sessions() {
    let (customer, own) = Harness::get().customer("password@example.com").await;
    let other = customer.login("password@example.com", PASSWORD).await.unwrap();
    let change = |current: Option<&str>| wire::UpdateUserRequest {
        password: Some("battery staple".to_owned()),
        current_password: current.map(str::to_owned),
        ..Default::default()
    };

    for current in [None, Some("wrong horse")] {
        let refusal = customer.update(change(current)).await.unwrap_err();
        assert_eq!(fields(&refusal), ["currentPassword"]);
    }
    customer.update(change(Some(PASSWORD))).await.unwrap();

    assert!(customer.login("password@example.com", PASSWORD).await.is_err());
    assert!(customer.login("password@example.com", "battery staple").await.is_ok());
    assert!(customer.refresh(&other).await.is_err());
    assert!(customer.refresh(&own).await.is_ok());
}

#[tokio::test]
async fn erasing_leaves_no_personal_data_and_frees_the_email() {
    let harness = Harness::get();
    let revoked = revoked_sessions(harness).await;
    let (customer, tokens) = harness.customer("erased@example.com").await;
    customer.add_address(address()).await.unwrap();

    customer.erase().await.unwrap();
    customer.erase().await.unwrap();

    assert_eq!(customer.profile().await.unwrap_err().code(), Code::NotFound);
    assert!(customer.addresses().await.is_empty());
    assert!(customer.login("erased@example.com", PASSWORD).await.is_err());
    assert!(customer.refresh(&tokens).await.is_err());
    assert!(customer.add_address(address()).await.is_err());
    let row = row_of(harness, tokens.user_id.parse().unwrap()).await;
    assert!(!row.contains("erased@example.com") && !row.contains("Customer One"), "{row}");
    until_revoked(&revoked, &tokens.session_id).await;
    assert!(customer.register("erased@example.com").await.is_ok());
}

#[tokio::test]
async fn an_address_is_its_owners_and_the_order_services_in_their_name() {
    let harness = Harness::get();
    let (customer, tokens) = harness.customer("address@example.com").await;
    let (stranger, _) = harness.customer("stranger@example.com").await;
    let made = customer.add_address(address()).await.unwrap();
    let user_id = tokens.user_id.parse().unwrap();
    let order = harness.caller(Caller::service("order", Some(user_id))).await;

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
    assert_eq!(customer.addresses().await, [updated.clone()]);
    assert_eq!(customer.address(&made.address_id).await.unwrap(), updated);
    assert_eq!(stranger.address(&made.address_id).await.unwrap_err().code(), Code::NotFound);
    assert!(stranger.addresses().await.is_empty());
    eventually(LIMIT, async || order.address(&made.address_id).await.ok()).await;
}

#[tokio::test]
async fn a_deleted_address_is_gone_at_once() {
    let (customer, _) = Harness::get().customer("deleted@example.com").await;
    let address_id = customer.add_address(address()).await.unwrap().address_id;
    let delete = async |address_id: String| {
        let request = wire::DeleteAddressRequest { address_id };
        customer.call(async |mut client| client.delete_address(request).await).await
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

#[tokio::test]
async fn a_guest_has_no_profile() {
    let guest = Harness::get().guest().await;

    assert_eq!(guest.profile().await.unwrap_err().code(), Code::Unauthenticated);
    let addresses = guest.address("1").await.unwrap_err();
    assert_eq!(addresses.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn staff_made_by_an_operator_signs_in_as_staff() {
    let harness = Harness::get();
    let guest = harness.guest().await;

    let made = user::create_staff(&harness.config(), "staff@example.com", "Staff", PASSWORD).await;
    let again = user::create_staff(&harness.config(), "staff@example.com", "Staff", PASSWORD).await;

    made.unwrap();
    assert!(again.unwrap_err().to_string().contains("--email"));
    let tokens = guest.login("staff@example.com", PASSWORD).await.unwrap();
    let profile = harness.signed_in(&tokens).await.profile();
    assert_eq!(profile.await.unwrap().role, wire::Role::Staff as i32);
}

#[tokio::test]
async fn orders_and_refunds_are_told_by_mail_but_not_to_the_erased() {
    let harness = Harness::get();
    let (_, told) = harness.customer("told@example.com").await;
    let (erased, gone) = harness.customer("gone@example.com").await;
    erased.erase().await.unwrap();

    publish(harness, &gone, |user_id| confirmed(user_id, "ERASED01")).await;
    publish(harness, &told, |user_id| confirmed(user_id, "7K3QXW2M")).await;
    publish(harness, &told, refunded).await;

    let confirmation = harness.mail("7K3QXW2M").await;
    assert!(confirmation.contains("told@example.com"), "{confirmation}");
    let refund = harness.mail("is refunded").await;
    assert!(refund.contains("5.00 EUR"), "{refund}");
    assert!(harness.find_mail("ERASED01").is_none());
}

fn money(minor_units: i64) -> Option<common::Money> {
    Some(common::Money {
        minor_units,
        currency: "EUR".to_owned(),
    })
}

fn confirmed(user_id: UserId, number: &str) -> OrderConfirmed {
    OrderConfirmed {
        order_id: OrderId::new(user_id.slot()).to_string(),
        user_id: user_id.to_string(),
        number: number.to_owned(),
        total: money(1999),
        ..Default::default()
    }
}

fn refunded(user_id: UserId) -> PaymentRefunded {
    PaymentRefunded {
        payment_id: PaymentId::new(user_id.slot()).to_string(),
        order_id: OrderId::new(user_id.slot()).to_string(),
        user_id: user_id.to_string(),
        amount: money(500),
        ..Default::default()
    }
}

/// Puts another service's event into this service's outbox: its relay publishes any topic.
async fn publish<E: Event>(
    harness: &Harness,
    tokens: &wire::Tokens,
    event: impl FnOnce(UserId) -> E,
) {
    let user_id: UserId = tokens.user_id.parse().unwrap();
    let mut tx = harness.cluster().await.begin(&user_id).await.unwrap();
    outbox::append(&mut tx, &event(user_id)).await.unwrap();
    tx.commit().await.unwrap();
}

type Sessions = Arc<Mutex<Vec<String>>>;

/// The sessions that the service tells are revoked, from now on.
async fn revoked_sessions(harness: &Harness) -> Sessions {
    let revoked = Sessions::default();
    let note = Arc::clone(&revoked);
    let on_event = move |event: ::events::Received| {
        if let Some(event) = event.decode::<wire::SessionRevoked>() {
            note.lock().unwrap().push(event.unwrap().session_id);
        }
    };
    let (chassis, config) = (harness.chassis("test").await, harness.config());
    let since = Duration::from_secs(60);
    follow::start(&chassis, &config.events, &["user.events"], since, on_event).unwrap();
    revoked
}

async fn until_revoked(revoked: &Sessions, session_id: &str) {
    let is_known = || revoked.lock().unwrap().iter().any(|other| other == session_id);
    eventually(LIMIT, async || is_known().then_some(())).await;
    let times = revoked.lock().unwrap().iter().filter(|other| *other == session_id).count();
    assert_eq!(times, 1, "a session is revoked once");
}

async fn row_of(harness: &Harness, user_id: UserId) -> String {
    let shard = harness.cluster().await.shard(&user_id);
    sqlx::query_scalar("select to_jsonb(users)::text from users where slot = $1 and user_id = $2")
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .fetch_one(&mut shard.primary_once().await.unwrap())
        .await
        .unwrap()
}
