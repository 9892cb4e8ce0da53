use futures::future::try_join_all;
use sqlx::types::Json;
use storage::Shard;
use types::{Page, ProductId, cursor};

use super::{Row, Store, product_columns};
use crate::error::Error;
use crate::product::{Attributes, Product};

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Relevance,
    Price,
    PriceDescending,
    Newest,
}

/// Which products are wanted; what is absent is not asked for.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) query: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) price_min: Option<i64>,
    pub(crate) price_max: Option<i64>,
    pub(crate) attributes: Attributes,
    pub(crate) in_stock: bool,
    pub(crate) sort: Sort,
}

/// One page of a list.
pub(crate) struct Listed {
    pub(crate) products: Vec<Product>,
    /// `None` on the last page.
    pub(crate) next_cursor: Option<String>,
}

/// Where a product stands in the list: the sort key, then the id.
type Position = (i64, ProductId);

#[derive(sqlx::FromRow)]
struct SortedRow {
    sort_key: i64,
    #[sqlx(flatten)]
    row: Row,
}

/// One statement for each order, so that each can use its index. `$1` to `$9` are the same in all.
macro_rules! search {
    ($sort_key:literal, $after:literal, $order:literal) => {
        concat!(
            "select * from (select ",
            $sort_key,
            "::bigint as sort_key, ",
            product_columns!(),
            " from products as product
            where product.active
                and product.slot = any($1)
                and ($2::text is null or product.search @@ (
                    websearch_to_tsquery('english', $2) || to_tsquery('english', $3)
                ))
                and ($4::text is null or product.category = $4)
                and product.attributes @> $5
                and (($6::bigint is null and $7::bigint is null) or exists (
                    select from variants as variant
                    where variant.slot = product.slot
                        and variant.product_id = product.product_id
                        and variant.minor_units between coalesce($6, 0) and coalesce($7, 9223372036854775807)
                ))
                and (not $8 or exists (
                    select from variants as variant
                    where variant.slot = product.slot
                        and variant.product_id = product.product_id
                        and variant.in_stock
                ))
            ) as product
            where ($9::bigint is null or (sort_key, product_id) ",
            $after,
            " ($9, $10))
            order by sort_key ",
            $order,
            ", product_id ",
            $order,
            " limit $11"
        )
    };
}

impl Sort {
    fn sql(self) -> &'static str {
        match self {
            Self::Relevance => search!(
                "(1000000 * ts_rank_cd(product.search, websearch_to_tsquery('english', $2) || to_tsquery('english', $3)))",
                "<",
                "desc"
            ),
            Self::Price => search!("product.price", ">", "asc"),
            Self::PriceDescending => search!("product.price", "<", "desc"),
            Self::Newest => search!(
                "(1000000 * extract(epoch from product.created_at))",
                "<",
                "desc"
            ),
        }
    }

    /// The cursor's list: a cursor of another order is refused.
    fn list(self) -> &'static str {
        match self {
            Self::Relevance => "products:relevance",
            Self::Price => "products:price",
            Self::PriceDescending => "products:-price",
            Self::Newest => "products:newest",
        }
    }

    fn cmp(self, a: &SortedRow, b: &SortedRow) -> std::cmp::Ordering {
        let ascending = (a.sort_key, a.row.product_id).cmp(&(b.sort_key, b.row.product_id));
        if self == Self::Price {
            ascending
        } else {
            ascending.reverse()
        }
    }
}

impl Search {
    /// Everything in a category, or everything, newest first.
    pub(crate) fn newest(category: Option<String>) -> Self {
        Self {
            query: None,
            category,
            price_min: None,
            price_max: None,
            attributes: Attributes::new(),
            in_stock: false,
            sort: Sort::Newest,
        }
    }

    /// The last word as a prefix, since it may still be being typed.
    fn prefix(&self) -> String {
        let words = self.query.as_deref().unwrap_or_default().split_whitespace();
        let last: String = words
            .last()
            .unwrap_or_default()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect();
        if last.is_empty() {
            String::new()
        } else {
            format!("{last}:*")
        }
    }
}

impl Store {
    /// One page over every shard: each answers with its own first rows after the cursor, which are
    /// merged and cut. The cursor is a place in the whole list, so that a slot that moves between
    /// two pages neither hides a product nor shows it twice.
    pub(crate) async fn search(&self, search: &Search, page: &Page) -> Result<Listed, Error> {
        let list = search.sort.list();
        let after: Option<Position> = page
            .cursor()
            .map(|cursor| cursor::decode(list, cursor))
            .transpose()
            .map_err(|_| Error::InvalidCursor)?;
        let limit = page.limit() as usize;
        let shards: Vec<Shard> = self.cluster.shards().collect();
        // One more than asked for: its being there says that there is another page.
        let asked = shards
            .iter()
            .map(|shard| search_shard(shard, search, after, limit + 1));
        let mut rows: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
        rows.sort_by(|a, b| search.sort.cmp(a, b));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor =
            last.map(|last| cursor::encode(list, &(last.sort_key, last.row.product_id)));
        let products = rows.into_iter().map(|row| row.row.into()).collect();
        Ok(Listed {
            products,
            next_cursor,
        })
    }
}

async fn search_shard(
    shard: &Shard,
    search: &Search,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<SortedRow>, Error> {
    let mut snapshot = shard.replica().await?;
    let rows = sqlx::query_as::<_, SortedRow>(search.sort.sql())
        .bind(shard.owned_slots())
        .bind(&search.query)
        .bind(search.prefix())
        .bind(&search.category)
        .bind(Json(&search.attributes))
        .bind(search.price_min)
        .bind(search.price_max)
        .bind(search.in_stock)
        .bind(after.map(|(sort_key, _)| sort_key))
        .bind(after.map(|(_, product_id)| product_id))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut snapshot)
        .await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(query: &str) -> String {
        let mut search = Search::newest(None);
        search.query = Some(query.to_owned());
        search.prefix()
    }

    #[test]
    fn the_last_word_is_searched_as_a_prefix() {
        assert_eq!(prefix("red mu"), "mu:*");
        assert_eq!(prefix("red m&u|g'"), "mug:*");
        assert_eq!(prefix(" !! "), "");
    }
}
