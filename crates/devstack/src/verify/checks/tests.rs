use super::*;
use crate::verify::GRACE_SECONDS as GRACE;

const TOTAL: i64 = 2_000;

fn order_id() -> Uuid {
    Uuid::from_u128(1)
}

/// One confirmed order of two mugs, with everything in agreement.
fn sound() -> Books {
    let account = |kind: &str, balance| Account {
        slot: 1,
        kind: kind.to_owned(),
        currency: "USD".to_owned(),
        balance,
        folded: balance,
    };
    Books {
        orders: vec![Order {
            order_id: order_id(),
            status: "confirmed".to_owned(),
            minor_units: TOTAL,
            version: 4,
            has_timer: false,
            idle_seconds: 600,
        }],
        steady: HashSet::from([order_id()]),
        lines: vec![OrderLine {
            order_id: order_id(),
            sku: "MUG".to_owned(),
            quantity: 2,
        }],
        stock: vec![Stock {
            sku: "MUG".to_owned(),
            warehouse_id: "north".to_owned(),
            on_hand: 8,
            reserved: 0,
            backorder_limit: 0,
            held: 0,
        }],
        reservations: vec![Reservation {
            order_id: order_id(),
            sku: "MUG".to_owned(),
            state: "claimed".to_owned(),
            quantity: 2,
        }],
        payments: vec![Payment {
            payment_id: Uuid::from_u128(2),
            order_id: order_id(),
            status: "captured".to_owned(),
            authorized: TOTAL,
            captured: TOTAL,
            refunded: 0,
            version: 3,
            captures: 1,
            is_steady: true,
        }],
        accounts: vec![account("provider", -TOTAL), account("revenue", TOTAL)],
        charges: vec![Charge {
            authorization_id: "auth_1".to_owned(),
            reference: order_id().to_string(),
            currency: "USD".to_owned(),
            authorized: TOTAL,
            captured: TOTAL,
            refunded: 0,
            voided: false,
        }],
        leftovers: vec![Leftover {
            what: "parked events of product".to_owned(),
            count: 0,
        }],
    }
}

/// The same order cancelled before anything was captured.
fn undone() -> Books {
    let mut books = sound();
    books.orders[0].status = "cancelled".to_owned();
    books.reservations[0].state = "released".to_owned();
    books.payments[0].status = "voided".to_owned();
    books.payments[0].captured = 0;
    books.payments[0].captures = 0;
    books.charges[0].captured = 0;
    books.charges[0].voided = true;
    books
}

/// Which invariants the doctored books break.
fn broken(mut books: Books, doctor: impl FnOnce(&mut Books)) -> Vec<&'static str> {
    doctor(&mut books);
    let findings = books.findings(GRACE).into_iter();
    findings.map(|finding| finding.invariant).collect()
}

#[test]
fn sound_books_have_no_findings() {
    assert_eq!(sound().findings(GRACE), []);
    assert_eq!(undone().findings(GRACE), []);
}

#[test]
fn an_order_with_work_left_for_too_long_is_found() {
    assert_eq!(
        broken(sound(), |books| books.orders[0].has_timer = true),
        ["C5"]
    );
    let young = |books: &mut Books| {
        books.orders[0].has_timer = true;
        books.orders[0].idle_seconds = GRACE - 1;
    };
    assert!(broken(sound(), young).is_empty());
}

#[test]
fn an_order_stuck_before_the_pivot_is_found() {
    let stuck = |books: &mut Books| books.orders[0].status = "reserved".to_owned();

    assert_eq!(broken(sound(), stuck), ["C5"]);
}

#[test]
fn stock_reserved_beyond_what_there_is_is_found() {
    let oversold = |books: &mut Books| {
        books.stock[0].on_hand = 1;
        books.stock[0].reserved = 2;
        books.stock[0].held = 2;
        books.reservations[0].state = "held".to_owned();
        books.orders[0].has_timer = true;
        books.orders[0].idle_seconds = 0;
    };

    assert_eq!(broken(sound(), oversold), ["C6"]);
}

#[test]
fn a_reserved_count_without_holds_is_found() {
    assert_eq!(broken(sound(), |books| books.stock[0].reserved = 1), ["C6"]);
}

#[test]
fn a_sold_line_that_was_not_claimed_in_full_is_found() {
    let less = |books: &mut Books| books.reservations[0].quantity = 1;
    let released = |books: &mut Books| books.reservations[0].state = "released".to_owned();
    let absent = |books: &mut Books| books.reservations.clear();

    assert_eq!(broken(sound(), less), ["C5"]);
    assert_eq!(broken(sound(), released), ["C5"]);
    assert_eq!(broken(sound(), absent), ["C5"]);
}

#[test]
fn stock_that_an_undone_order_keeps_is_found() {
    let kept = |books: &mut Books| books.reservations[0].state = "claimed".to_owned();

    assert_eq!(broken(undone(), kept), ["C5"]);
}

#[test]
fn stock_kept_for_an_order_that_does_not_exist_is_found() {
    let unknown = |books: &mut Books| {
        books.reservations[0].order_id = Uuid::from_u128(9);
        books.orders.clear();
    };

    assert_eq!(broken(sound(), unknown), ["C5"]);
}

#[test]
fn a_ledger_that_does_not_sum_to_zero_is_found() {
    let unbalanced = |books: &mut Books| {
        books.accounts[0].balance += 1;
        books.accounts[0].folded += 1;
    };

    assert_eq!(broken(sound(), unbalanced), ["C8"]);
}

#[test]
fn a_balance_that_is_not_the_fold_of_its_transfers_is_found() {
    assert_eq!(
        broken(sound(), |books| books.accounts[0].folded += 1),
        ["C8"]
    );
}

#[test]
fn a_sold_order_whose_money_was_not_captured_is_found() {
    let uncaptured = |books: &mut Books| {
        books.payments[0].captured = 0;
        books.charges[0].captured = 0;
        books.payments[0].status = "authorized".to_owned();
    };

    assert_eq!(broken(sound(), uncaptured), ["C9"]);
}

#[test]
fn counters_out_of_bounds_are_found() {
    let over = |books: &mut Books| {
        books.payments[0].refunded = TOTAL + 1;
        books.charges[0].refunded = TOTAL + 1;
    };

    assert_eq!(broken(sound(), over), ["C9"]);
    assert_eq!(
        broken(sound(), |books| books.payments[0].captures = 2),
        ["C9"]
    );
}

#[test]
fn money_kept_for_an_undone_order_is_found() {
    let captured = |books: &mut Books| {
        books.payments[0].captured = TOTAL;
        books.charges[0].captured = TOTAL;
    };
    let held = |books: &mut Books| {
        books.payments[0].status = "authorized".to_owned();
        books.charges[0].voided = false;
    };

    assert_eq!(broken(undone(), captured), ["C9"]);
    assert_eq!(broken(undone(), held), ["C9"]);
}

#[test]
fn a_second_charge_at_the_provider_is_found() {
    let twice = |books: &mut Books| {
        let mut second = books.charges[0].clone();
        second.captured = 0;
        second.voided = true;
        books.charges.push(second);
    };

    assert_eq!(broken(sound(), twice), ["C9"]);
}

#[test]
fn a_provider_that_tells_another_story_is_found() {
    let other = |books: &mut Books| books.charges[0].captured -= 1;
    let limbo = |books: &mut Books| books.charges[0].voided = false;

    assert_eq!(broken(sound(), other), ["C9"]);
    assert_eq!(broken(undone(), limbo), ["C9"]);
}

#[test]
fn money_for_an_order_that_nobody_knows_is_found() {
    let taken = |books: &mut Books| {
        let mut stranger = books.charges[0].clone();
        stranger.reference = Uuid::from_u128(9).to_string();
        books.charges.push(stranger);
    };
    let held = |books: &mut Books| {
        taken(books);
        books.charges[1].captured = 0;
    };
    let given_back = |books: &mut Books| {
        taken(books);
        books.charges[1].refunded = TOTAL;
    };

    assert_eq!(broken(sound(), taken), ["C9"]);
    assert_eq!(broken(sound(), held), ["C9"]);
    assert_eq!(broken(sound(), given_back), [""; 0]);
}

#[test]
fn events_left_over_are_found() {
    assert_eq!(
        broken(sound(), |books| books.leftovers[0].count = 1),
        ["C1"]
    );
}

#[test]
fn findings_of_some_orders_leave_others_out() {
    let mut books = sound();
    books.orders[0].has_timer = true;

    let of_this = books.findings_of(&HashSet::from([order_id()]));
    let of_another = books.findings_of(&HashSet::new());

    assert_eq!(of_this.len(), 1);
    assert_eq!(of_another, []);
}

#[test]
fn an_order_that_is_still_changing_was_not_checked() {
    let mut books = sound();
    books.steady.clear();

    let findings = books.findings_of(&HashSet::from([order_id()]));

    assert_eq!(findings.len(), 1);
}
