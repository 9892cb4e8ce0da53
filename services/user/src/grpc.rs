//! Proto in, proto out.

use auth::Role;
use chassis::caller::Caller;
use chassis::fault;
use chassis::server::{Permissions, Who};
use proto::common::v1 as common;
use proto::user::v1::user_service_server::UserService;
use proto::user::v1::{
    self as wire, CreateAddressRequest, CreateAddressResponse, DeleteAddressRequest,
    DeleteAddressResponse, EraseUserRequest, EraseUserResponse, GetAddressRequest,
    GetAddressResponse, GetUserRequest, GetUserResponse, ListAddressesRequest,
    ListAddressesResponse, ListKeysRequest, ListKeysResponse, LoginRequest, LoginResponse,
    LogoutRequest, LogoutResponse, RefreshSessionRequest, RefreshSessionResponse,
    RegisterUserRequest, RegisterUserResponse, UpdateAddressRequest, UpdateAddressResponse,
    UpdateUserRequest, UpdateUserResponse,
};
use tonic::{Request, Response, Status};
use types::{AddressId, UserId};

use crate::accounts::{Accounts, Tokens, Wish};
use crate::address::{Address, BookEntry};
use crate::error::Error;
use crate::store::Store;
use crate::user::{NewUser, Password, User, parse_name};

pub(crate) fn permissions() -> Permissions {
    Permissions::new([
        ("RegisterUser", Who::Anyone),
        ("Login", Who::Anyone),
        ("RefreshSession", Who::Anyone),
        ("ListKeys", Who::Anyone),
        ("Logout", Who::SignedIn),
        ("GetUser", Who::SignedIn),
        ("UpdateUser", Who::SignedIn),
        ("EraseUser", Who::SignedIn),
        ("ListAddresses", Who::SignedIn),
        ("GetAddress", Who::SignedInOr("order")),
        ("CreateAddress", Who::SignedIn),
        ("UpdateAddress", Who::SignedIn),
        ("DeleteAddress", Who::SignedIn),
    ])
}

pub(crate) struct Grpc {
    pub(crate) accounts: Accounts,
    pub(crate) store: Store,
}

/// The user of the call: who signed in, or whom a service acts for.
fn user_id() -> Result<UserId, Error> {
    Caller::current().user_id.ok_or(Error::NotSignedIn)
}

fn address_id(text: &str) -> Result<AddressId, Status> {
    text.parse()
        .map_err(|error| fault::invalid_field("addressId", "invalid-id", format!("{error}")))
}

fn address(address: Option<common::Address>) -> Result<Address, Error> {
    let address = address.unwrap_or_default();
    let address = Address {
        name: address.name,
        line1: address.line1,
        line2: address.line2,
        city: address.city,
        region: address.region,
        postal_code: address.postal_code,
        country: address.country,
    };
    address.checked().map_err(Error::Invalid)
}

fn wish(request: UpdateUserRequest) -> Result<Wish, Error> {
    let name = request.name.as_deref().map(parse_name).transpose();
    let password = request.password.as_deref().map(Password::parse).transpose();
    match (name, password) {
        (Ok(name), Ok(password)) => Ok(Wish {
            name,
            password,
            current_password: request
                .current_password
                .as_deref()
                .and_then(Password::attempt),
        }),
        (name, password) => {
            let faults = [name.err(), password.err()];
            Err(Error::Invalid(faults.into_iter().flatten().collect()))
        }
    }
}

impl From<User> for wire::User {
    fn from(user: User) -> Self {
        let role = match user.role {
            Role::Customer => wire::Role::Customer,
            Role::Staff => wire::Role::Staff,
            Role::Admin => wire::Role::Admin,
        };
        Self {
            user_id: user.user_id.to_string(),
            email: user.email.as_str().to_owned(),
            name: user.name,
            role: role.into(),
            version: user.version,
            created_at: Some(proto::timestamp(user.created_at)),
        }
    }
}

impl From<Tokens> for wire::Tokens {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.expose(),
            expires_in_seconds: tokens.expires_in_seconds,
            user_id: tokens.user_id.to_string(),
            session_id: tokens.refresh_token.session_id.to_string(),
        }
    }
}

impl From<BookEntry> for wire::UserAddress {
    fn from(entry: BookEntry) -> Self {
        let address = entry.address;
        Self {
            address_id: entry.address_id.to_string(),
            address: Some(common::Address {
                name: address.name,
                line1: address.line1,
                line2: address.line2,
                city: address.city,
                region: address.region,
                postal_code: address.postal_code,
                country: address.country,
            }),
            version: entry.version,
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl UserService for Grpc {
    async fn register_user(
        &self,
        request: Request<RegisterUserRequest>,
    ) -> Answer<RegisterUserResponse> {
        let request = request.into_inner();
        let new = NewUser::parse(&request.email, &request.password, &request.name)
            .map_err(Error::Invalid)?;
        let user = self.accounts.register(new, Role::Customer).await?;
        let user = Some(user.into());
        Ok(Response::new(RegisterUserResponse { user }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Answer<LoginResponse> {
        let request = request.into_inner();
        let tokens = self
            .accounts
            .login(&request.email, &request.password)
            .await?;
        let tokens = Some(tokens.into());
        Ok(Response::new(LoginResponse { tokens }))
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Answer<RefreshSessionResponse> {
        let tokens = self
            .accounts
            .refresh(&request.get_ref().refresh_token)
            .await?;
        let tokens = Some(tokens.into());
        Ok(Response::new(RefreshSessionResponse { tokens }))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Answer<LogoutResponse> {
        if let Some(session_id) = Caller::current().session_id {
            self.store.revoke_session(session_id).await?;
        }
        Ok(Response::new(LogoutResponse {}))
    }

    async fn list_keys(&self, _: Request<ListKeysRequest>) -> Answer<ListKeysResponse> {
        let jwks = self.accounts.jwks()?;
        Ok(Response::new(ListKeysResponse { jwks }))
    }

    async fn get_user(&self, _: Request<GetUserRequest>) -> Answer<GetUserResponse> {
        let user = self.store.find_user(user_id()?).await?;
        let user = Some(user.ok_or(Error::NotFound("user"))?.into());
        Ok(Response::new(GetUserResponse { user }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Answer<UpdateUserResponse> {
        let wish = wish(request.into_inner())?;
        let session_id = Caller::current().session_id;
        let user = self.accounts.update(user_id()?, session_id, wish).await?;
        let user = Some(user.into());
        Ok(Response::new(UpdateUserResponse { user }))
    }

    async fn erase_user(&self, _: Request<EraseUserRequest>) -> Answer<EraseUserResponse> {
        self.store.erase_user(user_id()?).await?;
        Ok(Response::new(EraseUserResponse {}))
    }

    async fn list_addresses(
        &self,
        _: Request<ListAddressesRequest>,
    ) -> Answer<ListAddressesResponse> {
        let entries = self.store.list_addresses(user_id()?).await?;
        let addresses = entries.into_iter().map(Into::into).collect();
        Ok(Response::new(ListAddressesResponse { addresses }))
    }

    async fn get_address(&self, request: Request<GetAddressRequest>) -> Answer<GetAddressResponse> {
        let address_id = address_id(&request.get_ref().address_id)?;
        let entry = self.store.find_address(user_id()?, address_id).await?;
        let address = Some(entry.ok_or(Error::NotFound("address"))?.into());
        Ok(Response::new(GetAddressResponse { address }))
    }

    async fn create_address(
        &self,
        request: Request<CreateAddressRequest>,
    ) -> Answer<CreateAddressResponse> {
        let address = address(request.into_inner().address)?;
        let entry = self.store.create_address(user_id()?, address).await?;
        let full = || Error::invalid("address", "too-many", "a book has at most 50 addresses");
        let address = Some(entry.ok_or_else(full)?.into());
        Ok(Response::new(CreateAddressResponse { address }))
    }

    async fn update_address(
        &self,
        request: Request<UpdateAddressRequest>,
    ) -> Answer<UpdateAddressResponse> {
        let request = request.into_inner();
        let address_id = address_id(&request.address_id)?;
        let address = address(request.address)?;
        let entry = self
            .store
            .update_address(user_id()?, address_id, address)
            .await?;
        let address = Some(entry.ok_or(Error::NotFound("address"))?.into());
        Ok(Response::new(UpdateAddressResponse { address }))
    }

    async fn delete_address(
        &self,
        request: Request<DeleteAddressRequest>,
    ) -> Answer<DeleteAddressResponse> {
        let address_id = address_id(&request.get_ref().address_id)?;
        if !self.store.delete_address(user_id()?, address_id).await? {
            return Err(Error::NotFound("address").into());
        }
        Ok(Response::new(DeleteAddressResponse {}))
    }
}
