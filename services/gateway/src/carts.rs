//! Carts, of customers and of guests.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use proto::order::v1;
use serde::{Deserialize, Serialize};
use types::{ProductId, Sku};
use utoipa::ToSchema;

use crate::Gateway;
use crate::error::{Problem, present};
use crate::extract::{CART_TOKEN, CartToken, Id, Json, parse_id};
use crate::problems;
use crate::shapes::{self, Money};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    /// Absent while nothing was ever put into it.
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    items: Vec<CartItem>,
    /// Absent while the cart is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    subtotal: Option<Money>,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartItem {
    sku: String,
    product_id: String,
    name: String,
    options: BTreeMap<String, String>,
    quantity: u32,
    unit_price: Money,
    line_total: Money,
}

/// `sku`, or `productId` of a product that has one variant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewItem {
    #[schema(value_type = Option<String>)]
    sku: Option<Sku>,
    product_id: Option<String>,
    quantity: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuantity {
    quantity: i64,
}

impl TryFrom<Option<v1::Cart>> for Cart {
    type Error = Problem;

    fn try_from(cart: Option<v1::Cart>) -> Result<Self, Problem> {
        let cart = present(cart)?;
        let items = cart.items.into_iter().map(CartItem::try_from);
        Ok(Self {
            id: cart.cart_id,
            items: items.collect::<Result<_, _>>()?,
            subtotal: cart.subtotal.map(Money::from),
            version: cart.version,
            expires_at: cart
                .expires_at
                .map(|at| shapes::instant(Some(at)))
                .transpose()?,
        })
    }
}

impl TryFrom<v1::CartItem> for CartItem {
    type Error = Problem;

    fn try_from(item: v1::CartItem) -> Result<Self, Problem> {
        Ok(Self {
            sku: item.sku,
            product_id: item.product_id,
            name: item.name,
            options: item.options.into_iter().collect(),
            quantity: item.quantity,
            unit_price: present(item.unit_price)?.into(),
            line_total: present(item.line_total)?.into(),
        })
    }
}

impl NewItem {
    fn item(&self) -> Result<v1::add_cart_item_request::Item, Problem> {
        use v1::add_cart_item_request::Item;
        match (&self.sku, &self.product_id) {
            (Some(sku), None) => Ok(Item::Sku(sku.to_string())),
            (None, Some(id)) => {
                let id: ProductId = parse_id("productId", id)?;
                Ok(Item::ProductId(id.to_string()))
            }
            _ => Err(Problem::field(
                &problems::INVALID,
                "sku",
                "required",
                "either sku or productId is expected",
            )),
        }
    }
}

/// The caller's cart.
#[utoipa::path(get, path = "/api/cart", operation_id = "getCart", tag = "cart", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, body = Cart)))]
pub async fn get(
    State(gateway): State<Gateway>,
    CartToken(cart_token): CartToken,
) -> Result<Answer<Cart>, Problem> {
    let request = v1::GetCartRequest { cart_token };
    let answer = gateway
        .backends
        .order()
        .get_cart(request)
        .await?
        .into_inner();
    answer.cart.try_into().map(Answer)
}

/// Empty the cart.
#[utoipa::path(delete, path = "/api/cart", operation_id = "clearCart", tag = "cart", security(("bearer" = []), ("cart" = [])),
    responses((status = 200, body = Cart)))]
pub async fn clear(
    State(gateway): State<Gateway>,
    CartToken(cart_token): CartToken,
) -> Result<Answer<Cart>, Problem> {
    let request = v1::ClearCartRequest { cart_token };
    let answer = gateway
        .backends
        .order()
        .clear_cart(request)
        .await?
        .into_inner();
    answer.cart.try_into().map(Answer)
}

/// Put something into the cart. The same SKU adds up. A guest's first item makes a cart and answers
/// with its `X-Cart-Token`.
#[utoipa::path(post, path = "/api/cart/items", operation_id = "addCartItem", tag = "cart", security(("bearer" = []), ("cart" = []), ()),
    request_body = NewItem, responses((status = 200, body = Cart, headers(("X-Cart-Token" = String)))))]
pub async fn add_item(
    gateway: State<Gateway>,
    token: CartToken,
    item: Json<NewItem>,
) -> Result<Response, Problem> {
    add(gateway, token, item).await
}

/// As `POST /api/cart/items`.
#[utoipa::path(post, path = "/api/cart/add", operation_id = "addToCart", tag = "cart", security(("bearer" = []), ("cart" = []), ()),
    request_body = NewItem, responses((status = 200, body = Cart, headers(("X-Cart-Token" = String)))))]
pub async fn add(
    State(gateway): State<Gateway>,
    CartToken(cart_token): CartToken,
    Json(new): Json<NewItem>,
) -> Result<Response, Problem> {
    let request = v1::AddCartItemRequest {
        cart_token,
        item: Some(new.item()?),
        quantity: new.quantity,
    };
    let answer = gateway
        .backends
        .order()
        .add_cart_item(request)
        .await?
        .into_inner();
    let mut response = Answer(Cart::try_from(answer.cart)?).into_response();
    let token = answer
        .cart_token
        .and_then(|token| HeaderValue::try_from(token).ok());
    if let Some(token) = token {
        response.headers_mut().insert(CART_TOKEN, token);
    }
    Ok(response)
}

/// Set an item's quantity.
#[utoipa::path(patch, path = "/api/cart/items/{sku}", operation_id = "changeCartItem", tag = "cart", security(("bearer" = []), ("cart" = [])),
    params(("sku" = String, Path)), request_body = NewQuantity, responses((status = 200, body = Cart)))]
pub async fn change_item(
    State(gateway): State<Gateway>,
    CartToken(cart_token): CartToken,
    Id(sku): Id<Sku>,
    Json(new): Json<NewQuantity>,
) -> Result<Answer<Cart>, Problem> {
    let request = v1::UpdateCartItemRequest {
        cart_token,
        sku: sku.to_string(),
        quantity: new.quantity,
    };
    let answer = gateway
        .backends
        .order()
        .update_cart_item(request)
        .await?
        .into_inner();
    answer.cart.try_into().map(Answer)
}

/// Take an item out.
#[utoipa::path(delete, path = "/api/cart/items/{sku}", operation_id = "removeCartItem", tag = "cart", security(("bearer" = []), ("cart" = [])),
    params(("sku" = String, Path)), responses((status = 200, body = Cart)))]
pub async fn remove_item(
    State(gateway): State<Gateway>,
    CartToken(cart_token): CartToken,
    Id(sku): Id<Sku>,
) -> Result<Answer<Cart>, Problem> {
    let request = v1::RemoveCartItemRequest {
        cart_token,
        sku: sku.to_string(),
    };
    let answer = gateway
        .backends
        .order()
        .remove_cart_item(request)
        .await?
        .into_inner();
    answer.cart.try_into().map(Answer)
}
