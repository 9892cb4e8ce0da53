//! The user service as its callers see it, on real databases whose replicas lag.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "api/addresses.rs"]
mod addresses;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/mails.rs"]
mod mails;
#[path = "api/sessions.rs"]
mod sessions;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::events::follow;
use chassis::fault;
use harness::{Harness, LIMIT, PASSWORD};
use proto::common::v1 as common;
use proto::user::v1 as wire;
use testkit::eventually;
use tonic::{Code, Status};
use types::{NaturalKey, Routes, Slot, UserId};

fn reason(status: &Status) -> String {
    fault::reason(status).unwrap_or_default()
}

fn fields(status: &Status) -> Vec<String> {
    fault::fields(status)
        .into_iter()
        .map(|field| field.field)
        .collect()
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
    let asking = spellings
        .iter()
        .cycle()
        .take(9)
        .map(|email| guest.register(email));
    let answers = futures::future::join_all(asking).await;

    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert_eq!(
            (refusal.code(), reason(&refusal).as_str()),
            (Code::AlreadyExists, "EMAIL_TAKEN")
        );
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

    let wrong = guest
        .login("known@example.com", "wrong horse")
        .await
        .unwrap_err();
    let unknown = guest
        .login("unknown@example.com", PASSWORD)
        .await
        .unwrap_err();
    let malformed = guest.login("nobody", PASSWORD).await.unwrap_err();

    assert_eq!(wrong.code(), Code::Unauthenticated);
    for other in [unknown, malformed] {
        assert_eq!(
            (other.code(), other.message()),
            (wrong.code(), wrong.message())
        );
        assert_eq!(other.details(), wrong.details());
    }
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
    assert!(
        customer
            .login("erased@example.com", PASSWORD)
            .await
            .is_err()
    );
    assert!(customer.refresh(&tokens).await.is_err());
    assert!(customer.add_address(address()).await.is_err());
    let row = row_of(harness, tokens.user_id.parse().unwrap()).await;
    assert!(
        !row.contains("erased@example.com") && !row.contains("Customer One"),
        "{row}"
    );
    until_revoked(&revoked, &tokens.session_id).await;
    assert!(customer.register("erased@example.com").await.is_ok());
}

#[tokio::test]
async fn a_guest_has_no_profile() {
    let guest = Harness::get().guest().await;

    assert_eq!(
        guest.profile().await.unwrap_err().code(),
        Code::Unauthenticated
    );
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
    let profile = guest.signed_in(&tokens).profile().await;
    assert_eq!(profile.unwrap().role, wire::Role::Staff as i32);
}

#[tokio::test]
async fn staff_of_a_file_is_made_once() {
    let harness = Harness::get();
    let guest = harness.guest().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("staff.json");
    let account =
        |password| format!(r#"{{"email": "file@example.com", "password": "{password}"}}"#);

    std::fs::write(&file, account(PASSWORD)).unwrap();
    user::ensure_staff(&harness.config(), &file).await.unwrap();
    std::fs::write(&file, account("quite another password")).unwrap();
    user::ensure_staff(&harness.config(), &file).await.unwrap();
    std::fs::write(&file, "{}").unwrap();
    let refused = user::ensure_staff(&harness.config(), &file).await;

    guest.login("file@example.com", PASSWORD).await.unwrap();
    assert!(format!("{:#}", refused.unwrap_err()).contains("email"));
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
    let is_known = || {
        revoked
            .lock()
            .unwrap()
            .iter()
            .any(|other| other == session_id)
    };
    eventually(LIMIT, async || is_known().then_some(())).await;
    let times = revoked
        .lock()
        .unwrap()
        .iter()
        .filter(|other| *other == session_id)
        .count();
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
