use chassis::Caller;
use chassis::caller::Kind;
use devstack::service::Service;
use prost::Message;
use proto::user::v1;

use super::{Write, address, unique};
use crate::backends::{Backends, present};

pub(super) async fn writes(backends: &Backends) -> anyhow::Result<Vec<Write>> {
    let guest = Caller::default();
    let credentials = register(backends).await?;
    let login: v1::LoginResponse = backends
        .ask(Service::User, "Login", &guest, credentials.clone())
        .await?;
    let tokens = present(login.tokens)?;
    let customer = Caller {
        kind: Kind::Customer,
        user_id: Some(tokens.user_id.parse()?),
        session_id: Some(tokens.session_id.parse()?),
    };
    let [changed, deleted] = [
        create_address(backends, &customer).await?,
        create_address(backends, &customer).await?,
    ];
    let refresh_token = tokens.refresh_token;
    let rename = v1::UpdateUserRequest {
        name: Some("Another Name".to_owned()),
        ..v1::UpdateUserRequest::default()
    };
    let create = v1::CreateAddressRequest {
        address: Some(address()),
    };
    let change = v1::UpdateAddressRequest {
        address_id: changed,
        address: Some(address()),
    };
    let delete = v1::DeleteAddressRequest {
        address_id: deleted,
    };
    Ok(vec![
        write(backends, "RegisterUser", &guest, new_user()),
        write(backends, "Login", &guest, credentials),
        write(
            backends,
            "RefreshSession",
            &guest,
            v1::RefreshSessionRequest { refresh_token },
        ),
        write(backends, "UpdateUser", &customer, rename),
        write(backends, "CreateAddress", &customer, create),
        write(backends, "UpdateAddress", &customer, change),
        write(backends, "DeleteAddress", &customer, delete),
        write(backends, "Logout", &customer, v1::LogoutRequest {}),
        write(backends, "EraseUser", &customer, v1::EraseUserRequest {}),
    ])
}

fn write(
    backends: &Backends,
    name: &'static str,
    caller: &Caller,
    request: impl Message + Clone + 'static,
) -> Write {
    Write::new(backends, Service::User, name, caller, request)
}

fn new_user() -> v1::RegisterUserRequest {
    v1::RegisterUserRequest {
        email: format!("{}@example.com", unique("customer")),
        password: unique("password"),
        name: "A Customer".to_owned(),
    }
}

async fn register(backends: &Backends) -> anyhow::Result<v1::LoginRequest> {
    let new = new_user();
    let (email, password) = (new.email.clone(), new.password.clone());
    let guest = Caller::default();
    let _: v1::RegisterUserResponse = backends
        .ask(Service::User, "RegisterUser", &guest, new)
        .await?;
    Ok(v1::LoginRequest { email, password })
}

async fn create_address(backends: &Backends, customer: &Caller) -> anyhow::Result<String> {
    let request = v1::CreateAddressRequest {
        address: Some(address()),
    };
    let answer: v1::CreateAddressResponse = backends
        .ask(Service::User, "CreateAddress", customer, request)
        .await?;
    Ok(present(answer.address)?.address_id)
}
