use futures::future::try_join_all;
use proto::product::v1::CategoryCreated;
use storage::directory::{self, Reservation};
use types::{CategoryId, Slot};

use super::{CATEGORY, RESERVATION, Store};
use crate::category::{Category, CategoryDraft};
use crate::error::Error;
use crate::product::invalid;

#[derive(sqlx::FromRow)]
struct Row {
    slot: i16,
    category_id: CategoryId,
    slug: String,
    name: String,
    parent_id: Option<CategoryId>,
    version: i64,
}

impl Store {
    /// Every category, by name.
    pub(crate) async fn list_categories(&self) -> Result<Vec<Category>, Error> {
        let shards: Vec<_> = self.cluster.shards().collect();
        let found = try_join_all(shards.iter().map(async |shard| {
            let mut snapshot = shard.replica().await?;
            let rows = sqlx::query_as::<_, Row>(
                "select
                    slot,
                    category_id,
                    slug,
                    name,
                    parent_id,
                    version
                from categories",
            )
            .fetch_all(&mut snapshot)
            .await?;
            let owned = |row: &Row| Slot::from_db(row.slot).is_some_and(|slot| shard.owns(slot));
            Ok::<_, Error>(rows.into_iter().filter(owned).collect::<Vec<_>>())
        }))
        .await?;
        let mut categories: Vec<_> = found.into_iter().flatten().map(Category::from).collect();
        categories
            .sort_by(|a, b| (&a.draft.name, a.category_id).cmp(&(&b.draft.name, b.category_id)));
        Ok(categories)
    }

    pub(crate) async fn create_category(&self, draft: CategoryDraft) -> Result<Category, Error> {
        if let Some(parent_id) = draft.parent_id
            && !self.category_exists(parent_id).await?
        {
            let detail = "there is no such category".to_owned();
            return Err(Error::Invalid(vec![invalid("parentId", "unknown", detail)]));
        }
        let category_id = CategoryId::new(Slot::draw());
        let (owner, key) = (category_id.uuid(), draft.slug.as_str());
        let exists = async |owner| match CategoryId::try_from(owner) {
            Ok(category_id) => self.category_exists(category_id).await,
            Err(_) => Ok(false),
        };
        let reserved =
            directory::reserve(&self.cluster, CATEGORY, key, owner, RESERVATION, exists).await?;
        if let Reservation::Taken(_) = reserved {
            return Err(Error::SlugTaken);
        }
        let category = Category {
            category_id,
            version: 1,
            draft,
        };
        self.insert_category(&category).await?;
        let kept =
            directory::activate(&self.cluster, CATEGORY, &category.draft.slug, owner).await?;
        if kept {
            Ok(category)
        } else {
            Err(Error::SlugTaken)
        }
    }

    async fn insert_category(&self, category: &Category) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&category.category_id).await?;
        sqlx::query(
            "insert into categories (slot, category_id, slug, name, parent_id)
            values ($1, $2, $3, $4, $5)",
        )
        .bind(tx.slot().to_db())
        .bind(category.category_id)
        .bind(&category.draft.slug)
        .bind(&category.draft.name)
        .bind(category.draft.parent_id)
        .execute(&mut tx)
        .await?;
        let created = CategoryCreated {
            category_id: category.category_id.to_string(),
            slug: category.draft.slug.clone(),
            version: category.version,
        };
        events::outbox::append(&mut tx, &created).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn category_exists(&self, category_id: CategoryId) -> Result<bool, Error> {
        let mut primary = self.cluster.shard(&category_id).primary_once().await?;
        let exists = sqlx::query_scalar::<_, bool>(
            "select exists (select from categories where slot = $1 and category_id = $2)",
        )
        .bind(category_id.slot().to_db())
        .bind(category_id)
        .fetch_one(&mut primary)
        .await?;
        Ok(exists)
    }
}

impl From<Row> for Category {
    fn from(row: Row) -> Self {
        Self {
            category_id: row.category_id,
            version: row.version,
            draft: CategoryDraft {
                slug: row.slug,
                name: row.name,
                parent_id: row.parent_id,
            },
        }
    }
}
