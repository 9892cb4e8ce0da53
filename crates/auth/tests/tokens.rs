//! Access tokens as the user service issues and the gateway verifies them.
#![expect(clippy::unwrap_used, reason = "tests")]

use auth::{Claims, Error, Role, Signer, Verifier, generate_keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use types::{SessionId, Slot, UserId};

fn claims(lifetime: SignedDuration) -> Claims {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    Claims {
        user_id: UserId::new(Slot::draw()),
        session_id: SessionId::new(Slot::draw()),
        role: Role::Customer,
        issued_at: now,
        expires_at: now + lifetime,
    }
}

fn signer() -> Signer {
    Signer::from_jwks(&generate_keys().unwrap()).unwrap()
}

fn verifier(signer: &Signer) -> Verifier {
    Verifier::from_jwks(&signer.jwks().unwrap()).unwrap()
}

/// The token with another payload or header put in place of its own.
fn forged(token: &str, part: usize, json: &str) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[part] = URL_SAFE_NO_PAD.encode(json);
    parts.join(".")
}

#[test]
fn a_signed_token_is_verified_and_says_what_was_claimed() {
    let signer = signer();
    let claims = claims(SignedDuration::from_mins(15));

    let token = signer.sign(&claims).unwrap();

    assert_eq!(verifier(&signer).verify(&token).unwrap(), claims);
}

#[test]
fn an_expired_token_is_refused() {
    let signer = signer();
    let token = signer.sign(&claims(SignedDuration::from_mins(-1))).unwrap();

    let refusal = verifier(&signer).verify(&token);

    assert!(matches!(refusal, Err(Error::Expired)));
}

#[test]
fn a_token_of_another_key_is_refused() {
    let token = signer().sign(&claims(SignedDuration::from_mins(15)));

    let refusal = verifier(&signer()).verify(&token.unwrap());

    assert!(matches!(refusal, Err(Error::UnknownKey)));
}

#[test]
fn forged_and_malformed_tokens_are_refused() {
    let signer = signer();
    let verifier = verifier(&signer);
    let mut claims = claims(SignedDuration::from_mins(15));
    let token = signer.sign(&claims).unwrap();
    claims.role = Role::Admin;
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();

    let refused = [
        forged(&token, 1, &serde_json::to_string(&claims).unwrap()),
        forged(&token, 0, &format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)),
        forged(&token, 0, &format!(r#"{{"alg":"none","kid":"{kid}"}}"#)),
        forged(&token, 0, r#"{"alg":"EdDSA"}"#),
        token[..token.len() - 4].to_owned(),
        "a.b.c".to_owned(),
        String::new(),
    ];

    for token in refused {
        assert!(verifier.verify(&token).is_err(), "{token}");
    }
}

#[test]
fn after_a_rotation_tokens_of_both_keys_are_verified_and_the_first_signs() {
    let keys =
        |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["keys"][0].clone();
    let (old, new) = (generate_keys().unwrap(), generate_keys().unwrap());
    let both = serde_json::json!({ "keys": [keys(&new), keys(&old)] }).to_string();
    let token = |set: &str| {
        let signer = Signer::from_jwks(set).unwrap();
        signer.sign(&claims(SignedDuration::from_mins(15))).unwrap()
    };

    let verifier = verifier(&Signer::from_jwks(&both).unwrap());

    assert!(verifier.verify(&token(&old)).is_ok());
    let signed = jsonwebtoken::decode_header(token(&both)).unwrap();
    assert_eq!(signed.kid.as_deref(), keys(&new)["kid"].as_str());
}

#[test]
fn the_public_set_has_no_private_half() {
    let jwks = signer().jwks().unwrap();

    assert!(!jwks.contains("\"d\""));
}

#[test]
fn a_set_that_signs_nothing_is_refused() {
    let public = signer().jwks().unwrap();

    for set in ["", "{}", r#"{"keys":[]}"#, public.as_str()] {
        assert!(
            matches!(Signer::from_jwks(set), Err(Error::KeySet(_))),
            "{set}"
        );
    }
}
