use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use types::{CartId, Currency, Money, ProductId, Sku, Slot};

use super::{Event, State, Step, draft, passed};
use crate::cart::{Cart, Item, Variant};
use crate::error::Error;
use crate::order::OrderStatus as S;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stock {
    Untouched,
    Held,
    Claimed,
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Payment {
    Untouched,
    Authorized,
    Declined,
    Voided,
    Captured,
    Refunded,
}

/// One driver in the middle of a step: it has seen a version, and made some of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    version: u8,
    step: Step,
    calls: u8,
}

/// An order, the two services that it needs, and two drivers that may die at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    state: State,
    version: u8,
    stock: Stock,
    payment: Payment,
    runs: [Option<Run>; 2],
}

const START: World = World {
    state: State::new(S::Pending, Some(Step::Reserve)),
    version: 1,
    stock: Stock::Untouched,
    payment: Payment::Untouched,
    runs: [None; 2],
};

/// Switches a protection off, to see that the checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    NoRelease,
    NoVoid,
}

impl World {
    fn is_settled(&self) -> bool {
        self.state.step.is_none() && self.runs == [None; 2]
    }

    fn is_right(&self) -> bool {
        let nothing_taken = matches!(
            self.payment,
            Payment::Untouched | Payment::Declined | Payment::Voided | Payment::Refunded
        );
        match self.state.status {
            S::Confirmed | S::Fulfilled => {
                self.stock == Stock::Claimed && self.payment == Payment::Captured
            }
            S::Rejected | S::Cancelled => self.stock == Stock::Released && nothing_taken,
            _ => false,
        }
    }

    fn apply(mut self, event: Event) -> Self {
        if let Some(state) = self.state.after(event) {
            self.state = state;
            self.version += 1;
        }
        self
    }

    /// The run's result, which counts only if nobody else has moved the order.
    fn end(mut self, driver: usize, run: Run, event: Option<Event>) -> Self {
        self.runs[driver] = None;
        match event {
            Some(event) if self.version == run.version => self.apply(event),
            _ => self,
        }
    }

    /// The next call of a run, with every outcome that it may have.
    fn advance(self, driver: usize, run: Run, mutant: Mutant) -> Vec<Self> {
        let end = |world: Self, event| world.end(driver, run, event);
        let go_on = |mut world: Self| {
            world.runs[driver] = Some(Run {
                calls: run.calls + 1,
                ..run
            });
            world
        };
        match (run.step, run.calls) {
            (Step::Reserve, _) => self.reserve().into_iter().map(|(w, e)| end(w, e)).collect(),
            (Step::Authorize, _) => self
                .authorize()
                .into_iter()
                .map(|(w, e)| end(w, e))
                .collect(),
            (Step::Settle, 0) => match self.stock {
                Stock::Held | Stock::Claimed => vec![go_on(Self {
                    stock: Stock::Claimed,
                    ..self
                })],
                Stock::Untouched | Stock::Released => vec![end(self, None)],
            },
            (Step::Settle, _) => match self.payment {
                Payment::Authorized | Payment::Captured => {
                    let captured = Self {
                        payment: Payment::Captured,
                        ..self
                    };
                    vec![end(captured, Some(Event::Settled))]
                }
                _ => vec![end(self, None)],
            },
            (Step::Release, _) => vec![end(self.release(mutant), Some(Event::Undone))],
            (Step::Undo, 0) => vec![go_on(self.release(mutant))],
            (Step::Undo, _) => vec![end(self.give_back(mutant), Some(Event::Undone))],
        }
    }

    fn reserve(self) -> Vec<(Self, Option<Event>)> {
        let held = (
            Self {
                stock: Stock::Held,
                ..self
            },
            Some(Event::StockReserved),
        );
        match self.stock {
            Stock::Untouched => vec![held, (self, Some(Event::StockRefused))],
            Stock::Held => vec![held],
            Stock::Claimed => vec![(self, Some(Event::StockReserved))],
            Stock::Released => vec![(self, Some(Event::StockRefused))],
        }
    }

    fn authorize(self) -> Vec<(Self, Option<Event>)> {
        let to = |payment| Self { payment, ..self };
        match self.payment {
            Payment::Untouched => vec![
                (to(Payment::Authorized), Some(Event::PaymentAuthorized)),
                (to(Payment::Authorized), Some(Event::TimedOut)),
                (to(Payment::Declined), Some(Event::PaymentDeclined)),
                (self, Some(Event::TimedOut)),
            ],
            Payment::Declined | Payment::Voided => vec![(self, Some(Event::PaymentDeclined))],
            _ => vec![
                (self, Some(Event::PaymentAuthorized)),
                (self, Some(Event::TimedOut)),
            ],
        }
    }

    fn release(self, mutant: Mutant) -> Self {
        match mutant {
            Mutant::NoRelease => self,
            _ => Self {
                stock: Stock::Released,
                ..self
            },
        }
    }

    /// Void, and where that comes too late, refund.
    fn give_back(self, mutant: Mutant) -> Self {
        let payment = match self.payment {
            _ if mutant == Mutant::NoVoid => self.payment,
            Payment::Untouched | Payment::Authorized | Payment::Voided => Payment::Voided,
            Payment::Declined => Payment::Declined,
            Payment::Captured | Payment::Refunded => Payment::Refunded,
        };
        Self { payment, ..self }
    }

    /// Everything that may happen next.
    fn successors(self, mutant: Mutant) -> Vec<Self> {
        let mut next = vec![self.apply(Event::CancelRequested)];
        for driver in 0..2 {
            match self.runs[driver] {
                Some(run) => {
                    next.extend(self.advance(driver, run, mutant));
                    // Killed, or its client gone.
                    next.push(self.end(driver, run, None));
                }
                None => {
                    if let Some(step) = self.state.step {
                        let mut started = self;
                        started.runs[driver] = Some(Run {
                            version: self.version,
                            step,
                            calls: 0,
                        });
                        next.push(started);
                    }
                }
            }
        }
        next
    }
}

/// Every world that can be reached.
fn reachable(mutant: Mutant) -> HashSet<World> {
    let mut seen = HashSet::from([START]);
    let mut open = VecDeque::from([START]);
    while let Some(world) = open.pop_front() {
        for next in world.successors(mutant) {
            if seen.insert(next) {
                open.push_back(next);
            }
        }
    }
    seen
}

fn wrongly_settled(mutant: Mutant) -> Option<World> {
    let mut worlds = reachable(mutant).into_iter();
    worlds.find(|world| world.is_settled() && !world.is_right())
}

#[test]
fn whatever_is_killed_or_cancelled_a_settled_order_agrees_with_stock_and_money() {
    let worlds = reachable(Mutant::None);

    assert!(worlds.len() > 500, "{} worlds", worlds.len());
    assert_eq!(wrongly_settled(Mutant::None), None);
    for status in [S::Confirmed, S::Cancelled, S::Rejected] {
        assert!(
            worlds
                .iter()
                .any(|world| world.is_settled() && world.state.status == status)
        );
    }
}

#[test]
fn from_everywhere_one_driver_alone_settles_the_order() {
    for mut world in reachable(Mutant::None) {
        world.runs = [None; 2];
        let from = world;
        for _ in 0..8 {
            let Some(step) = world.state.step else { break };
            let mut run = Some(Run {
                version: world.version,
                step,
                calls: 0,
            });
            while let Some(calling) = run {
                let outcomes = world.advance(0, calling, Mutant::None);
                world = outcomes[0];
                run = world.runs[0];
            }
        }
        assert!(
            world.is_settled() && world.is_right(),
            "stuck from {from:?}"
        );
    }
}

#[test]
fn a_dropped_compensation_is_caught() {
    for mutant in [Mutant::NoRelease, Mutant::NoVoid] {
        assert!(
            wrongly_settled(mutant).is_some(),
            "{mutant:?} was not caught"
        );
    }
}

#[test]
fn late_money_reopens_an_order_that_ended_without_it_and_no_other() {
    let reopened = |status| State::new(status, None).after(Event::LateMoney);

    for status in [S::Rejected, S::Cancelled] {
        let undoing = State::new(status, Some(Step::Undo));
        assert_eq!(reopened(status), Some(undoing));
        assert_eq!(undoing.after(Event::Undone), Some(State::new(status, None)));
    }
    for status in [S::Confirmed, S::Fulfilled, S::Reserved] {
        assert_eq!(reopened(status), None);
    }
}

#[test]
fn history_shows_authorized_before_confirmed() {
    assert_eq!(
        passed(S::Reserved, S::Confirmed),
        [S::Authorized, S::Confirmed]
    );
    assert_eq!(passed(S::Confirmed, S::Confirmed), []);
}

fn usd(minor_units: i64) -> Money {
    let currency: Currency = "USD".parse().unwrap();
    Money::new(minor_units, currency)
}

fn cart_and_variants(seen: i64, today: i64) -> (Cart, HashMap<Sku, Variant>) {
    let sku: Sku = "MUG-1".parse().unwrap();
    let product_id = ProductId::new(Slot::draw());
    let item = Item {
        sku: sku.clone(),
        product_id,
        name: "Mug".to_owned(),
        options: BTreeMap::new(),
        quantity: 2,
        unit_price: usd(seen),
    };
    let variant = Variant {
        sku: sku.clone(),
        product_id,
        name: "Mug".to_owned(),
        options: BTreeMap::new(),
        price: usd(today),
        active: true,
    };
    let cart = Cart {
        cart_id: Some(CartId::new(Slot::draw())),
        items: vec![item],
        version: 3,
        expires_at: None,
    };
    (cart, HashMap::from([(sku, variant)]))
}

#[test]
fn an_expected_total_decides_and_without_one_the_prices_seen() {
    let cases = [
        (500, 500, None, true),
        (500, 600, None, false),
        (500, 600, Some(1_200), true),
        (500, 500, Some(999), false),
    ];

    for (seen, today, expected, placed) in cases {
        let (cart, variants) = cart_and_variants(seen, today);
        let result = draft(cart, &variants, expected.map(usd));
        match result {
            Ok(draft) => assert!(placed && draft.total == usd(2 * today)),
            Err(Error::PriceChanged { total, .. }) => assert!(!placed && total == usd(2 * today)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn an_empty_cart_and_a_sku_that_is_no_longer_sold_are_refused() {
    let (cart, mut variants) = cart_and_variants(500, 500);
    variants
        .values_mut()
        .for_each(|variant| variant.active = false);

    assert!(matches!(
        draft(cart, &variants, None),
        Err(Error::UnknownSku(_))
    ));
    assert!(matches!(
        draft(Cart::default(), &variants, None),
        Err(Error::CartEmpty)
    ));
}

#[test]
fn late_money_is_given_back_and_the_order_ends_again() {
    for status in [S::Rejected, S::Cancelled] {
        let ended = State::new(status, None);

        let undoing = ended.after(Event::LateMoney).unwrap();

        assert_eq!(undoing.step, Some(Step::Undo));
        assert_eq!(undoing.after(Event::Undone), Some(ended), "{status:?}");
    }
}
