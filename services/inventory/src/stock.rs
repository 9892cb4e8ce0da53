//! The rules of stock: what can be sold, what may be changed, and which changes are news.

use serde::{Deserialize, Serialize};
use types::{Sku, WarehouseId};

/// The most units that one order may ask of a SKU; also what a SKU that is never counted offers.
pub(crate) const QUANTITY_MAX: i64 = 1_000_000;

/// How a SKU is counted in a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Policy {
    /// Never refused, never counted.
    None,
    /// Counted and refused at checkout.
    ReserveOnOrder,
    /// Counted; what is short is backordered up to the limit.
    Track,
}

/// A SKU in one warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Stock {
    pub(crate) sku: Sku,
    pub(crate) warehouse_id: WarehouseId,
    /// Below zero: units that were claimed on backorder and are still owed.
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) backorder_limit: i64,
    pub(crate) low_stock_threshold: i64,
    pub(crate) policy: Policy,
    /// Rises with every change.
    pub(crate) version: i64,
}

impl Stock {
    /// What orders can still get from here, backorders included.
    pub(crate) fn available(&self) -> i64 {
        match self.policy {
            Policy::None => QUANTITY_MAX,
            Policy::ReserveOnOrder | Policy::Track => {
                self.on_hand + self.backorder_limit - self.reserved
            }
        }
    }

    /// What lies in the warehouse and is nobody's yet.
    fn free(&self) -> i64 {
        match self.policy {
            Policy::None => QUANTITY_MAX,
            Policy::ReserveOnOrder | Policy::Track => self.on_hand - self.reserved,
        }
    }

    pub(crate) fn is_low(&self) -> bool {
        self.policy != Policy::None && self.free() <= self.low_stock_threshold
    }

    /// Whether orders hold more than there is.
    pub(crate) fn is_below_reserved(&self) -> bool {
        self.reserved > self.on_hand + self.backorder_limit
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    InStock,
    Low,
    Out,
    Backorder,
}

/// A SKU over all its warehouses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) status: Status,
    pub(crate) available: i64,
    /// The sum of its warehouses' versions, so that it rises with every change.
    pub(crate) version: i64,
}

impl Level {
    /// `None` where no warehouse knows the SKU.
    pub(crate) fn of(warehouses: &[Stock]) -> Option<Self> {
        let has = |holds: fn(&Stock) -> bool| warehouses.iter().any(holds);
        let available = warehouses.iter().map(Stock::available).sum();
        let status = match available {
            _ if warehouses.is_empty() => return None,
            ..=0 => Status::Out,
            _ if has(|stock| stock.free() > 0 && !stock.is_low()) => Status::InStock,
            _ if has(|stock| stock.free() > 0) => Status::Low,
            _ => Status::Backorder,
        };
        Some(Self {
            status,
            available,
            version: warehouses.iter().map(|stock| stock.version).sum(),
        })
    }
}

/// A SKU's warehouses around a change of one or several of them.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) sku: Sku,
    pub(crate) before: Vec<Stock>,
    pub(crate) after: Vec<Stock>,
}

/// What others are told of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    LevelChanged(Sku, Level),
    /// The stock of one warehouse fell to its threshold.
    LowReached(Stock),
}

impl Change {
    /// Orders move stock all the time: that is news when the status changes.
    pub(crate) fn news(&self) -> Vec<News> {
        let status = |stock| Level::of(stock).map(|level| level.status);
        let level_changed = status(&self.before) != status(&self.after);
        self.collect_news(level_changed)
    }

    /// Stock that was set is news in any case.
    pub(crate) fn news_of_setting(&self) -> Vec<News> {
        self.collect_news(true)
    }

    fn collect_news(&self, level_changed: bool) -> Vec<News> {
        let level = Level::of(&self.after).filter(|_| level_changed);
        let mut news: Vec<_> = level
            .map(|level| News::LevelChanged(self.sku.clone(), level))
            .into_iter()
            .collect();
        let was_low = |now: &Stock| {
            let mut before = self.before.iter();
            before.any(|stock| stock.warehouse_id == now.warehouse_id && stock.is_low())
        };
        let low = self
            .after
            .iter()
            .filter(|now| now.is_low() && !was_low(now));
        news.extend(low.cloned().map(News::LowReached));
        news
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stock(warehouse: &str, on_hand: i64, reserved: i64) -> Stock {
        Stock {
            sku: "MUG-1".parse().unwrap(),
            warehouse_id: warehouse.parse().unwrap(),
            on_hand,
            reserved,
            backorder_limit: 0,
            low_stock_threshold: 2,
            policy: Policy::ReserveOnOrder,
            version: 1,
        }
    }

    fn backordered(limit: i64, stock: Stock) -> Stock {
        Stock {
            backorder_limit: limit,
            policy: Policy::Track,
            ..stock
        }
    }

    fn status(warehouses: &[Stock]) -> Status {
        Level::of(warehouses).unwrap().status
    }

    #[test]
    fn a_sku_is_in_stock_while_one_warehouse_is_above_its_threshold() {
        assert_eq!(status(&[stock("a", 3, 0)]), Status::InStock);
        assert_eq!(
            status(&[stock("a", 0, 0), stock("b", 9, 6)]),
            Status::InStock
        );
        assert_eq!(status(&[stock("a", 3, 1), stock("b", 1, 0)]), Status::Low);
        assert_eq!(status(&[stock("a", 3, 3)]), Status::Out);
        assert_eq!(Level::of(&[]), None);
    }

    #[test]
    fn a_backorder_is_what_can_be_ordered_beyond_the_shelf() {
        let level = Level::of(&[backordered(5, stock("a", 1, 2))]).unwrap();

        assert_eq!((level.status, level.available), (Status::Backorder, 4));
        assert_eq!(status(&[backordered(5, stock("a", 1, 6))]), Status::Out);
    }

    #[test]
    fn uncounted_stock_is_always_in_stock_and_never_low() {
        let uncounted = Stock {
            policy: Policy::None,
            ..stock("a", 0, 0)
        };

        assert_eq!(status(std::slice::from_ref(&uncounted)), Status::InStock);
        assert!(!uncounted.is_low());
    }

    fn change(before: Vec<Stock>, after: Vec<Stock>) -> Change {
        Change {
            sku: "MUG-1".parse().unwrap(),
            before,
            after,
        }
    }

    #[test]
    fn an_order_is_news_only_when_the_status_changes() {
        let same = change(vec![stock("a", 9, 0)], vec![stock("a", 9, 1)]);
        let sold_out = change(vec![stock("a", 9, 8)], vec![stock("a", 9, 9)]);

        assert_eq!(same.news(), []);
        assert!(matches!(
            sold_out.news()[..],
            [News::LevelChanged(
                _,
                Level {
                    status: Status::Out,
                    available: 0,
                    ..
                }
            )]
        ));
        assert_eq!(same.news_of_setting().len(), 1);
    }

    #[test]
    fn low_stock_is_told_once_when_the_threshold_is_reached() {
        let crossed = change(vec![stock("a", 9, 6)], vec![stock("a", 9, 7)]);
        let still_low = change(vec![stock("a", 9, 7)], vec![stock("a", 9, 8)]);

        assert!(crossed.news().contains(&News::LowReached(stock("a", 9, 7))));
        assert_eq!(still_low.news(), []);
    }

    proptest! {
        #[test]
        fn a_sku_is_out_exactly_when_nothing_can_be_ordered(
            rows in prop::collection::vec((0_i64..9, 0_i64..9, 0_i64..9), 1..4),
        ) {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(on_hand, limit, reserved)| {
                    backordered(limit, stock("a", on_hand, reserved.min(on_hand + limit)))
                })
                .collect();

            let level = Level::of(&rows).unwrap();

            prop_assert!(level.available >= 0);
            prop_assert_eq!(level.status == Status::Out, level.available == 0);
        }
    }
}
