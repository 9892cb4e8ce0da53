use types::{AddressId, UserId};

use super::Store;
use crate::address::{Address, BookEntry};
use crate::error::Error;

/// Addresses in one book.
const ADDRESSES_MAX: i64 = 50;

impl Store {
    /// The oldest first, from a replica that has what the caller wrote.
    pub(crate) async fn list_addresses(&self, user_id: UserId) -> Result<Vec<BookEntry>, Error> {
        let mut snapshot = self.cluster.shard(&user_id).replica().await?;
        let entries = sqlx::query_as(
            "select
                 address_id, name, line1, line2, city, region, postal_code, country, version
             from addresses
             where slot = $1 and user_id = $2
             order by created_at, address_id",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .fetch_all(&mut snapshot)
        .await?;
        Ok(entries)
    }

    pub(crate) async fn find_address(
        &self,
        user_id: UserId,
        address_id: AddressId,
    ) -> Result<Option<BookEntry>, Error> {
        let mut snapshot = self.cluster.shard(&user_id).replica().await?;
        let entry = sqlx::query_as(
            "select
                 address_id, name, line1, line2, city, region, postal_code, country, version
             from addresses
             where slot = $1 and address_id = $2 and user_id = $3",
        )
        .bind(user_id.slot().to_db())
        .bind(address_id)
        .bind(user_id)
        .fetch_optional(&mut snapshot)
        .await?;
        Ok(entry)
    }

    /// `None`: the book is full, or its account erased.
    pub(crate) async fn create_address(
        &self,
        user_id: UserId,
        address: Address,
    ) -> Result<Option<BookEntry>, Error> {
        let address_id = AddressId::new(user_id.slot());
        let mut tx = self.cluster.begin(&user_id).await?;
        // The lock keeps an address out of the book of an account that is just being erased.
        let entry = sqlx::query_as(
            "with owner as (
                 select slot, user_id
                 from users
                 where slot = $1 and user_id = $2 and erased_at is null
                 for share
             )
             insert into addresses (
                 slot, address_id, user_id,
                 name, line1, line2, city, region, postal_code, country
             )
             select slot, $3, user_id, $4, $5, $6, $7, $8, $9, $10
             from owner
             where (select count(*) from addresses where slot = $1 and user_id = $2) < $11
             returning
                 address_id, name, line1, line2, city, region, postal_code, country, version",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(address_id)
        .bind(address.name)
        .bind(address.line1)
        .bind(address.line2)
        .bind(address.city)
        .bind(address.region)
        .bind(address.postal_code)
        .bind(address.country)
        .bind(ADDRESSES_MAX)
        .fetch_optional(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(entry)
    }

    pub(crate) async fn update_address(
        &self,
        user_id: UserId,
        address_id: AddressId,
        address: Address,
    ) -> Result<Option<BookEntry>, Error> {
        let mut tx = self.cluster.begin(&user_id).await?;
        let entry = sqlx::query_as(
            "update addresses
             set name = $4,
                 line1 = $5,
                 line2 = $6,
                 city = $7,
                 region = $8,
                 postal_code = $9,
                 country = $10,
                 version = version + 1
             where slot = $1 and address_id = $2 and user_id = $3
             returning
                 address_id, name, line1, line2, city, region, postal_code, country, version",
        )
        .bind(user_id.slot().to_db())
        .bind(address_id)
        .bind(user_id)
        .bind(address.name)
        .bind(address.line1)
        .bind(address.line2)
        .bind(address.city)
        .bind(address.region)
        .bind(address.postal_code)
        .bind(address.country)
        .fetch_optional(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(entry)
    }

    /// `false`: there was no such address.
    pub(crate) async fn delete_address(
        &self,
        user_id: UserId,
        address_id: AddressId,
    ) -> Result<bool, Error> {
        let mut tx = self.cluster.begin(&user_id).await?;
        let deleted = sqlx::query(
            "delete from addresses
             where slot = $1 and address_id = $2 and user_id = $3",
        )
        .bind(user_id.slot().to_db())
        .bind(address_id)
        .bind(user_id)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected() == 1)
    }
}
