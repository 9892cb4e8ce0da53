use storage::{Shard, WriteTx};
use types::{CartId, Sku, UserId};

use super::Store;
use super::cart_rows::{Owner, SecretHash};
use crate::cart::{Cart, Item, Limits};
use crate::error::Error;
use crate::order::Order;

impl Store {
    /// Makes the cart where there is none.
    pub(crate) async fn add_item(
        &self,
        owner: Owner,
        item: Item,
        limits: Limits,
    ) -> Result<Cart, Error> {
        let mut tx = self.begin(owner.slot()).await?;
        let mut cart = self.lock_or_open_cart(&mut tx, owner).await?;
        let cart_id = cart.cart_id.ok_or(Error::Contended)?;
        let line = cart.add(item, limits)?;
        self.write_items(&mut tx, cart_id, std::slice::from_ref(line))
            .await?;
        tx.commit().await?;
        Ok(cart)
    }

    pub(crate) async fn set_quantity(
        &self,
        owner: Owner,
        sku: &Sku,
        quantity: u32,
    ) -> Result<Cart, Error> {
        let mut tx = self.begin(owner.slot()).await?;
        let mut cart = self.lock_cart(&mut tx, owner).await?.unwrap_or_default();
        let line = cart.items.iter_mut().find(|line| line.sku == *sku);
        let (Some(line), Some(cart_id)) = (line, cart.cart_id) else {
            tx.rollback().await;
            return Err(Error::NotInCart(sku.clone()));
        };
        line.quantity = quantity;
        self.write_items(&mut tx, cart_id, std::slice::from_ref(line))
            .await?;
        tx.commit().await?;
        Ok(cart)
    }

    /// Without a SKU, every line goes. What is not there is gone already.
    pub(crate) async fn remove_item(&self, owner: Owner, sku: Option<&Sku>) -> Result<Cart, Error> {
        let mut tx = self.begin(owner.slot()).await?;
        let mut cart = self.lock_cart(&mut tx, owner).await?.unwrap_or_default();
        let Some(cart_id) = cart.cart_id else {
            tx.rollback().await;
            return Ok(cart);
        };
        self.remove_items(&mut tx, cart_id, sku).await?;
        tx.commit().await?;
        cart.items
            .retain(|line| sku.is_some_and(|sku| line.sku != *sku));
        Ok(cart)
    }

    /// Adds a guest's cart to the user's, once however often it is called: the guest's is closed
    /// first, so that nothing put into it later is lost, and the user's notes whose lines it has.
    pub(crate) async fn merge_cart(
        &self,
        cart_id: CartId,
        hash: Option<SecretHash>,
        user_id: UserId,
        limits: Limits,
    ) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&cart_id).await?;
        let Some(items) = self.freeze_cart(&mut tx, cart_id, hash, user_id).await? else {
            tx.rollback().await;
            return Ok(());
        };
        tx.commit().await?;
        self.take_in(cart_id, items, user_id, limits).await?;
        let mut tx = self.cluster.begin(&cart_id).await?;
        self.mark_merged(&mut tx, cart_id).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn take_in(
        &self,
        guests: CartId,
        items: Vec<Item>,
        user_id: UserId,
        limits: Limits,
    ) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&user_id).await?;
        if items.is_empty() || !self.note_merge(&mut tx, guests, user_id).await? {
            tx.rollback().await;
            return Ok(());
        }
        let owner = Owner::User(user_id);
        let mut cart = self.lock_or_open_cart(&mut tx, owner).await?;
        cart.merge(items, limits);
        if let Some(cart_id) = cart.cart_id {
            self.write_items(&mut tx, cart_id, &cart.items).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Shows the customer's cart at other prices from now on, if it still has the same lines.
    pub(crate) async fn keep_prices(
        &self,
        tx: &mut WriteTx,
        user_id: UserId,
        priced: &Cart,
    ) -> Result<(), Error> {
        let owner = Owner::User(user_id);
        let Some(mut cart) = self.lock_cart(tx, owner).await? else {
            return Ok(());
        };
        for line in &mut cart.items {
            if let Some(today) = priced.items.iter().find(|today| today.sku == line.sku) {
                line.unit_price = today.unit_price;
            }
        }
        match cart.cart_id {
            Some(cart_id) => self.write_items(tx, cart_id, &cart.items).await,
            None => Ok(()),
        }
    }

    /// Puts the lines of a rejected order back into its customer's cart.
    pub(crate) async fn put_back(
        &self,
        tx: &mut WriteTx,
        order: &Order,
        limits: Limits,
    ) -> Result<(), Error> {
        let owner = Owner::User(order.user_id);
        let mut cart = self.lock_or_open_cart(tx, owner).await?;
        cart.merge(order.lines.iter().map(Item::from).collect(), limits);
        match cart.cart_id {
            Some(cart_id) => self.write_items(tx, cart_id, &cart.items).await,
            None => Ok(()),
        }
    }

    /// Guests' carts that were closed for a user's and not taken in, because a process died.
    pub(crate) async fn list_stuck_merges(
        &self,
        shard: &Shard,
    ) -> Result<Vec<(CartId, UserId)>, Error> {
        let mut primary = shard.primary_once().await?;
        let merges = sqlx::query_as(
            "select cart_id, merged_into
             from carts
             where state = 'merging'
                 and updated_at < now() - interval '10 seconds'
                 and slot = any($1)
             limit 100",
        )
        .bind(shard.owned_slots())
        .fetch_all(&mut primary)
        .await?;
        Ok(merges)
    }

    /// Carts whose time is over, and of which nothing is still to be taken in.
    pub(crate) async fn list_expired_carts(&self, shard: &Shard) -> Result<Vec<CartId>, Error> {
        let mut primary = shard.primary_once().await?;
        let carts = sqlx::query_scalar(
            "select cart_id
             from carts
             where expires_at < now() and state <> 'merging' and slot = any($1)
             order by expires_at
             limit 100",
        )
        .bind(shard.owned_slots())
        .fetch_all(&mut primary)
        .await?;
        Ok(carts)
    }

    pub(crate) async fn delete_expired_cart(&self, cart_id: CartId) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&cart_id).await?;
        sqlx::query("delete from carts where slot = $1 and cart_id = $2 and expires_at < now()")
            .bind(tx.slot().to_db())
            .bind(cart_id)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
