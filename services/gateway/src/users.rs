//! Accounts, sessions and addresses.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::user::v1;
use serde::{Deserialize, Serialize};
use types::{AddressId, UserId};
use utoipa::ToSchema;

use crate::Gateway;
use crate::consistency::Owner;
use crate::error::{Problem, present};
use crate::extract::{CART_TOKEN, Id, Json, SignedIn, parse_id};
use crate::problems;
use crate::shapes::{self, Address};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    id: String,
    email: String,
    name: String,
    /// `customer`, `staff` or `admin`.
    role: String,
    created_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    email: String,
    password: String,
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    name: Option<String>,
    password: Option<String>,
    /// Needed to change the password.
    current_password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    email: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    refresh_token: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    access_token: String,
    /// Good for one use.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds that the access token lives.
    expires_in: u32,
}

/// What is given replaces; an empty `line2` or `region` removes it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressChange {
    name: Option<String>,
    line1: Option<String>,
    line2: Option<String>,
    city: Option<String>,
    region: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

// Its fields stand here once more: flattened, the described address would forbid the id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedAddress {
    id: String,
    name: String,
    line1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    city: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    postal_code: String,
    /// ISO 3166-1 alpha-2.
    country: String,
}

#[derive(Serialize, ToSchema)]
pub struct Addresses {
    items: Vec<SavedAddress>,
}

impl TryFrom<Option<v1::User>> for User {
    type Error = Problem;

    fn try_from(user: Option<v1::User>) -> Result<Self, Problem> {
        let user = present(user)?;
        Ok(Self {
            role: shapes::word("ROLE_", user.role().as_str_name()),
            created_at: shapes::instant(user.created_at)?,
            id: user.user_id,
            email: user.email,
            name: user.name,
        })
    }
}

impl TryFrom<Option<v1::UserAddress>> for SavedAddress {
    type Error = Problem;

    fn try_from(saved: Option<v1::UserAddress>) -> Result<Self, Problem> {
        let saved = present(saved)?;
        let address = present(saved.address)?;
        Ok(Self {
            id: saved.address_id,
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
        })
    }
}

impl AddressChange {
    fn apply(self, address: Address) -> Address {
        let optional = |new: Option<String>, old| match new {
            Some(new) => Some(new).filter(|new| !new.is_empty()),
            None => old,
        };
        Address {
            name: self.name.unwrap_or(address.name),
            line1: self.line1.unwrap_or(address.line1),
            line2: optional(self.line2, address.line2),
            city: self.city.unwrap_or(address.city),
            region: optional(self.region, address.region),
            postal_code: self.postal_code.unwrap_or(address.postal_code),
            country: self.country.unwrap_or(address.country),
        }
    }
}

impl From<v1::Tokens> for Tokens {
    fn from(tokens: v1::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in_seconds,
        }
    }
}

/// Register a customer.
#[utoipa::path(post, path = "/api/users", operation_id = "registerUser", tag = "users", request_body = NewUser,
    responses((status = 201, body = User, headers(("Location" = String)))))]
pub async fn register(
    State(gateway): State<Gateway>,
    Json(new): Json<NewUser>,
) -> Result<Response, Problem> {
    let request = v1::RegisterUserRequest {
        email: new.email,
        password: new.password,
        name: new.name,
    };
    let answer = gateway
        .backends
        .user()
        .register_user(request)
        .await?
        .into_inner();
    let user = User::try_from(answer.user)?;
    let owner = Owner::User(parse_id::<UserId>("id", &user.id)?);
    let location = [(header::LOCATION, "/api/users/me")];
    Ok((
        StatusCode::CREATED,
        location,
        owner.extension(),
        Answer(user),
    )
        .into_response())
}

/// Log in. A guest's cart, named by its token, becomes part of the customer's.
#[utoipa::path(post, path = "/api/auth/login", operation_id = "logIn", tag = "users", request_body = Credentials,
    params(("X-Cart-Token" = Option<String>, Header)), responses((status = 200, body = Tokens)))]
pub async fn log_in(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    gateway.limits.log_in(&credentials.email).await?;
    let request = v1::LoginRequest {
        email: credentials.email,
        password: credentials.password,
    };
    let answer = gateway.backends.user().login(request).await?.into_inner();
    let tokens = present(answer.tokens)?;
    let user_id: UserId = parse_id("userId", &tokens.user_id)?;
    if let Some(cart) = headers
        .get(CART_TOKEN)
        .and_then(|value| value.to_str().ok())
    {
        gateway.backends.merge_cart(cart, user_id).await?;
    }
    let owner = Owner::User(user_id);
    Ok((owner.extension(), Answer(Tokens::from(tokens))).into_response())
}

/// Exchange a refresh token. One that is used twice revokes its whole session.
#[utoipa::path(post, path = "/api/auth/refresh", operation_id = "refreshSession", tag = "users", request_body = Refresh,
    responses((status = 200, body = Tokens)))]
pub async fn refresh(
    State(gateway): State<Gateway>,
    Json(refresh): Json<Refresh>,
) -> Result<Response, Problem> {
    let request = v1::RefreshSessionRequest {
        refresh_token: refresh.refresh_token,
    };
    let answer = gateway
        .backends
        .user()
        .refresh_session(request)
        .await?
        .into_inner();
    let tokens = present(answer.tokens)?;
    let owner = Owner::User(parse_id("userId", &tokens.user_id)?);
    Ok((owner.extension(), Answer(Tokens::from(tokens))).into_response())
}

/// End the session.
#[utoipa::path(post, path = "/api/auth/logout", operation_id = "logOut", tag = "users", security(("bearer" = [])),
    responses((status = 204)))]
pub async fn log_out(State(gateway): State<Gateway>, _: SignedIn) -> Result<StatusCode, Problem> {
    gateway.backends.user().logout(v1::LogoutRequest {}).await?;
    gateway.auth.revoke_current();
    Ok(StatusCode::NO_CONTENT)
}

/// The customer's own account.
#[utoipa::path(get, path = "/api/users/me", operation_id = "getUser", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = User)))]
pub async fn get(State(gateway): State<Gateway>, _: SignedIn) -> Result<Answer<User>, Problem> {
    let answer = gateway
        .backends
        .user()
        .get_user(v1::GetUserRequest {})
        .await?
        .into_inner();
    answer.user.try_into().map(Answer)
}

/// Change the name or the password.
#[utoipa::path(patch, path = "/api/users/me", operation_id = "changeUser", tag = "users", security(("bearer" = [])),
    request_body = UserChange, responses((status = 200, body = User)))]
pub async fn change(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Json(change): Json<UserChange>,
) -> Result<Answer<User>, Problem> {
    let request = v1::UpdateUserRequest {
        name: change.name,
        password: change.password,
        current_password: change.current_password,
    };
    let answer = gateway
        .backends
        .user()
        .update_user(request)
        .await?
        .into_inner();
    answer.user.try_into().map(Answer)
}

/// Erase the account's personal data. Its orders stay without them.
#[utoipa::path(delete, path = "/api/users/me", operation_id = "eraseUser", tag = "users", security(("bearer" = [])),
    responses((status = 204)))]
pub async fn erase(State(gateway): State<Gateway>, _: SignedIn) -> Result<StatusCode, Problem> {
    gateway
        .backends
        .user()
        .erase_user(v1::EraseUserRequest {})
        .await?;
    gateway.auth.revoke_current();
    Ok(StatusCode::NO_CONTENT)
}

/// The customer's addresses.
#[utoipa::path(get, path = "/api/users/me/addresses", operation_id = "listAddresses", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Addresses)))]
pub async fn list_addresses(
    State(gateway): State<Gateway>,
    _: SignedIn,
) -> Result<Answer<Addresses>, Problem> {
    let request = v1::ListAddressesRequest {};
    let answer = gateway
        .backends
        .user()
        .list_addresses(request)
        .await?
        .into_inner();
    let items = answer
        .addresses
        .into_iter()
        .map(|saved| Some(saved).try_into());
    let items = items.collect::<Result<_, _>>()?;
    Ok(Answer(Addresses { items }))
}

/// Keep an address.
#[utoipa::path(post, path = "/api/users/me/addresses", operation_id = "createAddress", tag = "users", security(("bearer" = [])),
    request_body = Address, responses((status = 201, body = SavedAddress, headers(("Location" = String)))))]
pub async fn create_address(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Json(address): Json<Address>,
) -> Result<Response, Problem> {
    let request = v1::CreateAddressRequest {
        address: Some(address.into()),
    };
    let answer = gateway
        .backends
        .user()
        .create_address(request)
        .await?
        .into_inner();
    let saved = SavedAddress::try_from(answer.address)?;
    let location = [(
        header::LOCATION,
        format!("/api/users/me/addresses/{}", saved.id),
    )];
    Ok((StatusCode::CREATED, location, Answer(saved)).into_response())
}

/// Change an address.
#[utoipa::path(patch, path = "/api/users/me/addresses/{id}", operation_id = "changeAddress", tag = "users", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = AddressChange,
    responses((status = 200, body = SavedAddress)))]
pub async fn change_address(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<AddressId>,
    Json(change): Json<AddressChange>,
) -> Result<Answer<SavedAddress>, Problem> {
    let id = id.to_string();
    let request = v1::ListAddressesRequest {};
    let kept = gateway
        .backends
        .user()
        .list_addresses(request)
        .await?
        .into_inner()
        .addresses;
    let saved = kept.into_iter().find(|saved| saved.address_id == id);
    let saved = saved.ok_or_else(|| Problem::new(&problems::NOT_FOUND))?;
    let address = change.apply(present(saved.address)?.into());
    let request = v1::UpdateAddressRequest {
        address_id: id,
        address: Some(address.into()),
    };
    let answer = gateway
        .backends
        .user()
        .update_address(request)
        .await?
        .into_inner();
    answer.address.try_into().map(Answer)
}

/// Forget an address.
#[utoipa::path(delete, path = "/api/users/me/addresses/{id}", operation_id = "deleteAddress", tag = "users", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn delete_address(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<AddressId>,
) -> Result<StatusCode, Problem> {
    let request = v1::DeleteAddressRequest {
        address_id: id.to_string(),
    };
    gateway.backends.user().delete_address(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
