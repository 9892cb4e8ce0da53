use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Caller;
use proto::order::v1 as wire;
use proto::order::v1::add_cart_item_request::Item;
use tonic::Status;
use types::{CartId, Sku, Slot, UserId};

use crate::cart::{Cart, Variant, quantity};
use crate::checkout::Driver;
use crate::error::{Error, Invalid};
use crate::store::{Owner, SecretHash};

/// What a guest names a cart by: `cart_id.secret`.
struct Token {
    cart_id: CartId,
    hash: SecretHash,
}

impl Token {
    /// An unreadable token is no token: a guest with it has no cart.
    fn parse(text: &str) -> Option<Self> {
        let (cart_id, secret) = text.split_once('.')?;
        Some(Self {
            cart_id: cart_id.parse().ok()?,
            hash: hash(secret),
        })
    }

    /// A new cart's, and the text that only its guest gets to see.
    fn draw() -> (Self, String) {
        let cart_id = CartId::new(Slot::draw());
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let text = format!("{cart_id}.{secret}");
        let hash = hash(&secret);
        (Self { cart_id, hash }, text)
    }

    fn owner(&self) -> Owner {
        Owner::Guest(self.cart_id, self.hash)
    }
}

fn hash(secret: &str) -> SecretHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

/// Whose cart the caller means: a customer's own, or the one that a guest's token names.
fn owner(token: Option<&str>) -> Option<Owner> {
    let user_id = Caller::current().signed_in();
    user_id
        .map(Owner::User)
        .or_else(|| Some(Token::parse(token?)?.owner()))
}

fn sku(text: &str) -> Result<Sku, Error> {
    text.parse::<Sku>()
        .map_err(|error| Invalid::new("sku", "not-a-sku", error.to_string()).into())
}

pub(super) async fn get_cart(
    driver: &Driver,
    request: wire::GetCartRequest,
) -> Result<wire::GetCartResponse, Status> {
    let cart = match owner(request.cart_token.as_deref()) {
        Some(owner) => driver.store().find_cart(owner).await?,
        None => Cart::default(),
    };
    Ok(wire::GetCartResponse {
        cart: Some(cart.into()),
    })
}

pub(super) async fn clear_cart(
    driver: &Driver,
    request: wire::ClearCartRequest,
) -> Result<wire::ClearCartResponse, Status> {
    let cart = match owner(request.cart_token.as_deref()) {
        Some(owner) => driver.store().remove_item(owner, None).await?,
        None => Cart::default(),
    };
    Ok(wire::ClearCartResponse {
        cart: Some(cart.into()),
    })
}

pub(super) async fn add_cart_item(
    driver: &Driver,
    request: wire::AddCartItemRequest,
) -> Result<wire::AddCartItemResponse, Status> {
    let limits = driver.config().limits();
    let quantity = quantity(request.quantity, limits)?;
    let item = variant(driver, request.item).await?.times(quantity);
    let (owner, cart_token) = match owner(request.cart_token.as_deref()) {
        Some(Owner::User(user_id)) => (Owner::User(user_id), None),
        // A token whose cart is gone gets a new one.
        Some(guest) if driver.store().find_cart(guest).await?.cart_id.is_some() => (guest, None),
        _ => {
            let (token, text) = Token::draw();
            (token.owner(), Some(text))
        }
    };
    let cart = driver.store().add_item(owner, item, limits).await?;
    Ok(wire::AddCartItemResponse {
        cart: Some(cart.into()),
        cart_token,
    })
}

/// The one variant that is meant.
async fn variant(driver: &Driver, item: Option<Item>) -> Result<Variant, Error> {
    match item {
        Some(Item::Sku(text)) => {
            let sku = sku(&text)?;
            let mut found = driver.peers().variants(std::slice::from_ref(&sku)).await?;
            let variant = found.remove(&sku).filter(|variant| variant.active);
            variant.ok_or(Error::UnknownSku(sku))
        }
        Some(Item::ProductId(text)) => {
            let product_id = text.parse().map_err(|_| Error::InvalidId("productId"))?;
            let mut variants = driver.peers().variants_of(product_id).await?;
            variants.retain(|variant| variant.active);
            match (variants.pop(), variants.is_empty()) {
                (Some(variant), true) => Ok(variant),
                (Some(variant), false) => {
                    variants.push(variant);
                    let skus = variants.into_iter().map(|variant| variant.sku);
                    Err(Error::SkuRequired(skus.collect()))
                }
                (None, _) => Err(Error::UnknownProduct),
            }
        }
        None => Err(Invalid::new("sku", "required", "a SKU or a product is expected").into()),
    }
}

pub(super) async fn update_cart_item(
    driver: &Driver,
    request: wire::UpdateCartItemRequest,
) -> Result<wire::UpdateCartItemResponse, Status> {
    let quantity = quantity(request.quantity, driver.config().limits())?;
    let sku = sku(&request.sku)?;
    let owner = owner(request.cart_token.as_deref()).ok_or(Error::NotInCart(sku.clone()))?;
    let cart = driver.store().set_quantity(owner, &sku, quantity).await?;
    Ok(wire::UpdateCartItemResponse {
        cart: Some(cart.into()),
    })
}

pub(super) async fn remove_cart_item(
    driver: &Driver,
    request: wire::RemoveCartItemRequest,
) -> Result<wire::RemoveCartItemResponse, Status> {
    let sku = sku(&request.sku)?;
    let cart = match owner(request.cart_token.as_deref()) {
        Some(owner) => driver.store().remove_item(owner, Some(&sku)).await?,
        None => Cart::default(),
    };
    Ok(wire::RemoveCartItemResponse {
        cart: Some(cart.into()),
    })
}

/// A token that names nothing (more) to take in changes nothing.
pub(super) async fn merge_cart(
    driver: &Driver,
    request: wire::MergeCartRequest,
) -> Result<wire::MergeCartResponse, Status> {
    let user_id = request.user_id.parse::<UserId>();
    let user_id = user_id.map_err(|_| Error::InvalidId("userId"))?;
    if let Some(Token { cart_id, hash }) = Token::parse(&request.cart_token) {
        let limits = driver.config().limits();
        driver
            .store()
            .merge_cart(cart_id, Some(hash), user_id, limits)
            .await?;
    }
    let cart = driver.store().find_cart(Owner::User(user_id)).await?;
    Ok(wire::MergeCartResponse {
        cart: Some(cart.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_names_its_cart_and_proves_its_secret() {
        let (drawn, text) = Token::draw();

        let parsed = Token::parse(&text).unwrap();

        assert!(parsed.owner() == drawn.owner());
        assert!(Token::parse(&format!("{text}x")).unwrap().owner() != drawn.owner());
        assert!(Token::parse("x.y").is_none() && Token::parse("").is_none());
    }
}
