//! Logging in, refreshing and ending.

use proto::user::v1 as wire;
use tonic::Code;
use types::SessionId;

use crate::harness::{Harness, PASSWORD};
use crate::{fields, revoked_sessions, until_revoked};

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

    assert_eq!(
        (second_use.code(), family.code()),
        (Code::Unauthenticated, Code::Unauthenticated)
    );
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
    let other = customer
        .login("password@example.com", PASSWORD)
        .await
        .unwrap();
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

    assert!(
        customer
            .login("password@example.com", PASSWORD)
            .await
            .is_err()
    );
    assert!(
        customer
            .login("password@example.com", "battery staple")
            .await
            .is_ok()
    );
    assert!(customer.refresh(&other).await.is_err());
    assert!(customer.refresh(&own).await.is_ok());
}
