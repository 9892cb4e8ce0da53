use std::collections::BTreeMap;

use sqlx::types::Json;
use storage::WriteTx;
use types::{CartId, ProductId, Sku, Slot, UserId};

use super::{Store, money, signed, unsigned};
use crate::cart::{Cart, Item};
use crate::error::Error;

/// The hash of a guest's secret.
pub(crate) type SecretHash = [u8; 32];

/// Whose cart it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    User(UserId),
    Guest(CartId, SecretHash),
}

impl Owner {
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::User(user_id) => user_id.slot(),
            Self::Guest(cart_id, _) => cart_id.slot(),
        }
    }
}

#[derive(sqlx::FromRow)]
struct CartRow {
    cart_id: CartId,
    version: i64,
    expires_at: jiff_sqlx::Timestamp,
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    sku: Sku,
    product_id: ProductId,
    name: String,
    options: Json<BTreeMap<String, String>>,
    quantity: i32,
    minor_units: i64,
    currency: String,
}

/// A cart with one of its lines, or with none.
#[derive(sqlx::FromRow)]
struct CartItemRow {
    #[sqlx(flatten)]
    cart: CartRow,
    sku: Option<Sku>,
    product_id: Option<ProductId>,
    name: Option<String>,
    options: Option<Json<BTreeMap<String, String>>>,
    quantity: Option<i32>,
    minor_units: Option<i64>,
    currency: Option<String>,
}

impl TryFrom<ItemRow> for Item {
    type Error = Error;

    fn try_from(row: ItemRow) -> Result<Self, Error> {
        Ok(Self {
            sku: row.sku,
            product_id: row.product_id,
            name: row.name,
            options: row.options.0,
            quantity: unsigned(row.quantity)?,
            unit_price: money(row.minor_units, &row.currency)?,
        })
    }
}

impl CartItemRow {
    fn item(self) -> Option<ItemRow> {
        Some(ItemRow {
            sku: self.sku?,
            product_id: self.product_id?,
            name: self.name?,
            options: self.options?,
            quantity: self.quantity?,
            minor_units: self.minor_units?,
            currency: self.currency?,
        })
    }
}

impl CartRow {
    fn with(self, items: Vec<Item>) -> Cart {
        Cart {
            cart_id: Some(self.cart_id),
            items,
            version: self.version,
            expires_at: Some(self.expires_at.to_jiff()),
        }
    }
}

const FIND_CART: &str = "\
    select
        cart.cart_id,
        cart.version,
        cart.expires_at,
        item.sku,
        item.product_id,
        item.name,
        item.options,
        item.quantity,
        item.minor_units,
        item.currency
    from carts as cart
    left join cart_items as item using (slot, cart_id)
    where cart.slot = $1
        and (cart.user_id = $2 or (cart.cart_id = $3 and cart.secret_hash = $4))
        and cart.state = 'open'
        and cart.expires_at > now()
    order by item.created_at, item.sku";

async fn find<'c, E>(executor: E, owner: Owner) -> Result<Cart, Error>
where
    E: sqlx::Executor<'c, Database = sqlx::Postgres>,
{
    let query = sqlx::query_as::<_, CartItemRow>(FIND_CART).bind(owner.slot().to_db());
    let query = match owner {
        Owner::User(user_id) => query
            .bind(user_id)
            .bind(None::<CartId>)
            .bind(None::<Vec<u8>>),
        Owner::Guest(cart_id, hash) => query.bind(None::<UserId>).bind(cart_id).bind(hash.to_vec()),
    };
    let rows = query.fetch_all(executor).await?;
    let mut cart = Cart::default();
    for row in rows {
        cart.cart_id = Some(row.cart.cart_id);
        cart.version = row.cart.version;
        cart.expires_at = Some(row.cart.expires_at.to_jiff());
        if let Some(item) = row.item() {
            cart.items.push(item.try_into()?);
        }
    }
    Ok(cart)
}

impl Store {
    /// The cart as the caller may see it; an empty one where there is none.
    pub(crate) async fn find_cart(&self, owner: Owner) -> Result<Cart, Error> {
        let mut snapshot = self.cluster.shard(&owner.slot()).replica().await?;
        find(&mut snapshot, owner).await
    }

    /// The newest cart, for a decision that its version guards.
    pub(crate) async fn find_newest_cart(&self, user_id: UserId) -> Result<Cart, Error> {
        let mut primary = self.cluster.shard(&user_id).primary_once().await?;
        find(&mut primary, Owner::User(user_id)).await
    }

    pub(super) async fn begin(&self, slot: Slot) -> Result<WriteTx, Error> {
        Ok(self.cluster.begin_in(slot).await?)
    }

    /// Locks the cart, raises its version and puts its expiry off. `None`: there is none.
    pub(super) async fn lock_cart(
        &self,
        tx: &mut WriteTx,
        owner: Owner,
    ) -> Result<Option<Cart>, Error> {
        let query = sqlx::query_as::<_, CartRow>(
            "update carts
             set
                 version = version + 1,
                 updated_at = now(),
                 expires_at = now() + make_interval(secs => $5)
             where slot = $1
                 and (user_id = $2 or (cart_id = $3 and secret_hash = $4))
                 and state = 'open'
                 and expires_at > now()
             returning cart_id, version, expires_at",
        )
        .bind(owner.slot().to_db());
        let query = match owner {
            Owner::User(user_id) => query
                .bind(user_id)
                .bind(None::<CartId>)
                .bind(None::<Vec<u8>>),
            Owner::Guest(cart_id, hash) => {
                query.bind(None::<UserId>).bind(cart_id).bind(hash.to_vec())
            }
        };
        let row = query
            .bind(self.cart_ttl.as_secs_f64())
            .fetch_optional(&mut *tx)
            .await?;
        match row {
            Some(row) => {
                let items = items(tx, row.cart_id).await?;
                Ok(Some(row.with(items)))
            }
            None => Ok(None),
        }
    }

    /// As [`lock_cart`](Self::lock_cart), and makes the cart where there is none.
    pub(super) async fn lock_or_open_cart(
        &self,
        tx: &mut WriteTx,
        owner: Owner,
    ) -> Result<Cart, Error> {
        if let Some(cart) = self.lock_cart(tx, owner).await? {
            return Ok(cart);
        }
        let (cart_id, user_id, hash) = match owner {
            Owner::User(user_id) => (CartId::new(owner.slot()), Some(user_id), None),
            Owner::Guest(cart_id, hash) => (cart_id, None, Some(hash.to_vec())),
        };
        // One that expired may still be there: it starts anew. Its lines go first, because a
        // statement sees its table as it was before.
        sqlx::query(
            "delete from cart_items
             where slot = $1
                 and cart_id in (
                     select cart_id from carts
                     where slot = $1 and user_id = $2 and state = 'open' and expires_at <= now()
                 )",
        )
        .bind(tx.slot().to_db())
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query_as::<_, CartRow>(
            "insert into carts (slot, cart_id, user_id, secret_hash, expires_at)
             values ($1, $2, $3, $4, now() + make_interval(secs => $5))
             on conflict (slot, user_id) where state = 'open' and user_id is not null
             do update set
                 version = carts.version + 1,
                 updated_at = now(),
                 expires_at = excluded.expires_at
             returning cart_id, version, expires_at",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .bind(user_id)
        .bind(hash)
        .bind(self.cart_ttl.as_secs_f64())
        .fetch_one(&mut *tx)
        .await?;
        let items = items(tx, row.cart_id).await?;
        Ok(row.with(items))
    }

    /// Writes these lines, and leaves the others.
    pub(super) async fn write_items(
        &self,
        tx: &mut WriteTx,
        cart_id: CartId,
        items: &[Item],
    ) -> Result<(), Error> {
        let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
        let products: Vec<_> = items.iter().map(|item| item.product_id.uuid()).collect();
        let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        let options: Vec<_> = items.iter().map(|item| Json(&item.options)).collect();
        let quantities: Vec<i32> = items.iter().map(|item| signed(item.quantity)).collect();
        let prices: Vec<i64> = items
            .iter()
            .map(|item| item.unit_price.minor_units)
            .collect();
        let currencies: Vec<&str> = items
            .iter()
            .map(|item| item.unit_price.currency.code())
            .collect();
        sqlx::query(
            "insert into cart_items (
                 slot, cart_id, sku, product_id, name, options, quantity, minor_units, currency
             )
             select $1, $2, item.*
             from unnest(
                 $3::text[], $4::uuid[], $5::text[], $6::jsonb[], $7::integer[], $8::bigint[],
                 $9::text[]
             ) as item
             on conflict (slot, cart_id, sku) do update set
                 name = excluded.name,
                 options = excluded.options,
                 quantity = excluded.quantity,
                 minor_units = excluded.minor_units,
                 currency = excluded.currency",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .bind(skus)
        .bind(products)
        .bind(names)
        .bind(options)
        .bind(quantities)
        .bind(prices)
        .bind(currencies)
        .execute(&mut *tx)
        .await?;
        Ok(())
    }

    /// Takes a line out of the cart; without a SKU, every line.
    pub(super) async fn remove_items(
        &self,
        tx: &mut WriteTx,
        cart_id: CartId,
        sku: Option<&Sku>,
    ) -> Result<(), Error> {
        sqlx::query(
            "delete from cart_items
             where slot = $1 and cart_id = $2 and ($3::text is null or sku = $3)",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .bind(sku)
        .execute(&mut *tx)
        .await?;
        Ok(())
    }

    /// Closes a guest's cart to changes, for the user's to take it in. `None`: there is nothing
    /// (more) to take in for this user. Without a hash the cart must be closed already.
    pub(super) async fn freeze_cart(
        &self,
        tx: &mut WriteTx,
        cart_id: CartId,
        hash: Option<SecretHash>,
        user_id: UserId,
    ) -> Result<Option<Vec<Item>>, Error> {
        let frozen = sqlx::query(
            "update carts
             set state = 'merging', merged_into = $4, version = version + 1, updated_at = now()
             where slot = $1
                 and cart_id = $2
                 and (
                     (state = 'open' and secret_hash = $3 and expires_at > now())
                     or (state = 'merging' and merged_into = $4)
                 )",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .bind(hash.map(Vec::from))
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
        match frozen.rows_affected() {
            0 => Ok(None),
            _ => items(tx, cart_id).await.map(Some),
        }
    }

    /// `false`: the user's cart has taken it in before.
    pub(super) async fn note_merge(
        &self,
        tx: &mut WriteTx,
        cart_id: CartId,
        user_id: UserId,
    ) -> Result<bool, Error> {
        let noted = sqlx::query(
            "insert into cart_merges (slot, cart_id, user_id)
             values ($1, $2, $3)
             on conflict do nothing",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    pub(super) async fn mark_merged(&self, tx: &mut WriteTx, cart_id: CartId) -> Result<(), Error> {
        sqlx::query(
            "update carts
             set state = 'merged', version = version + 1, updated_at = now()
             where slot = $1 and cart_id = $2 and state = 'merging'",
        )
        .bind(tx.slot().to_db())
        .bind(cart_id)
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
}

async fn items(tx: &mut WriteTx, cart_id: CartId) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query_as::<_, ItemRow>(
        "select sku, product_id, name, options, quantity, minor_units, currency
         from cart_items
         where slot = $1 and cart_id = $2
         order by created_at, sku",
    )
    .bind(tx.slot().to_db())
    .bind(cart_id)
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Item::try_from).collect()
}
