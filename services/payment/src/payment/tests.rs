use proptest::prelude::*;
use types::Slot;

use super::*;

fn usd(minor_units: i64) -> Money {
    Money::new(minor_units, "USD".parse().unwrap())
}

fn request(payment: &Payment, key: &str, action: Action) -> Request {
    Request {
        payment_id: payment.payment_id,
        key: key.to_owned(),
        hash: [0; 32],
        action,
    }
}

fn capture(minor_units: i64) -> Action {
    let amount = usd(minor_units);
    Action::Capture { amount }
}

fn refund(minor_units: Option<i64>) -> Action {
    Action::Refund {
        amount: minor_units.map(usd),
        reason: "returned".to_owned(),
    }
}

fn void(payment: &Payment) -> Action {
    let order_id = payment.order_id;
    Action::Void { order_id }
}

/// A payment whose authorization of 100 is under way.
fn pending() -> Payment {
    let slot = Slot::draw();
    let (payment_id, order_id) = (PaymentId::new(slot), OrderId::new(slot));
    let mut payment = Payment::new(payment_id, order_id, None, usd(0).currency);
    under_way(&mut payment, "authorize", Kind::Authorize, 100);
    payment
}

fn authorized() -> Payment {
    let mut payment = pending();
    settle(&mut payment, 0, true);
    payment
}

fn captured() -> Payment {
    let mut payment = authorized();
    under_way(&mut payment, "capture", Kind::Capture, 100);
    settle(&mut payment, 1, true);
    payment
}

fn under_way(payment: &mut Payment, key: &str, kind: Kind, minor_units: i64) {
    apply(payment, Change::reserve(kind, minor_units));
    payment.operations.push(Operation {
        operation_id: OperationId::new(payment.payment_id.slot()),
        payment_id: payment.payment_id,
        kind,
        key: key.to_owned(),
        request_hash: vec![0; 32],
        state: State::Pending,
        amount: usd(minor_units),
        reason: None,
        payment_token: None,
        traceparent: None,
        created_at: Timestamp::UNIX_EPOCH,
    });
}

fn settle(payment: &mut Payment, index: usize, succeeded: bool) {
    let operation = &mut payment.operations[index];
    operation.state = if succeeded {
        State::Succeeded
    } else {
        State::Declined
    };
    let change = Change::settle(operation.kind, operation.amount.minor_units, succeeded);
    apply(payment, change);
}

/// What the statements do with a change, and the table with the status.
fn apply(payment: &mut Payment, change: Change) {
    payment.authorized += change.authorized;
    payment.captured += change.captured;
    payment.refunded += change.refunded;
    payment.capture_pending += change.capture_pending;
    payment.refund_pending += change.refund_pending;
    payment.voiding = change.voiding.unwrap_or(payment.voiding);
    payment.status = match change.ended {
        Some(Ended::Voided) => Status::Voided,
        Some(Ended::Declined) => Status::Declined,
        None if matches!(payment.status, Status::Voided | Status::Declined) => payment.status,
        None if payment.captured > 0 && payment.refunded == payment.captured => Status::Refunded,
        None if payment.refunded > 0 => Status::PartiallyRefunded,
        None if payment.captured > 0 => Status::Captured,
        None if payment.authorized > 0 => Status::Authorized,
        None => Status::Pending,
    };
}

#[test]
fn a_repeated_key_finds_its_operation_and_refuses_another_body() {
    let payment = captured();
    let again = request(&payment, "capture", capture(100));
    let other = Request {
        hash: [1; 32],
        ..again.clone()
    };
    let another_kind = request(&payment, "capture", refund(Some(100)));

    assert_eq!(
        payment.decide(&again),
        Ok(Decision::Repeat(&payment.operations[1]))
    );
    assert_eq!(payment.decide(&other), Err(Refusal::KeyReused));
    assert_eq!(payment.decide(&another_kind), Err(Refusal::KeyReused));
}

#[test]
fn everything_waits_for_the_authorization() {
    let payment = pending();
    let waits = Ok(Decision::Await(Some(&payment.operations[0])));

    assert_eq!(payment.decide(&request(&payment, "k", capture(100))), waits);
    assert_eq!(
        payment.decide(&request(&payment, "k", void(&payment))),
        waits
    );
}

#[test]
fn a_capture_and_a_void_exclude_each_other() {
    let mut capturing = authorized();
    under_way(&mut capturing, "capture", Kind::Capture, 100);
    let mut voiding = authorized();
    under_way(&mut voiding, "void", Kind::Void, 100);
    let captured = captured();

    assert_eq!(
        capturing.decide(&request(&capturing, "k", void(&capturing))),
        Ok(Decision::Await(Some(&capturing.operations[1])))
    );
    assert_eq!(
        voiding.decide(&request(&voiding, "k", capture(1))),
        Ok(Decision::Await(Some(&voiding.operations[1])))
    );
    assert_eq!(
        captured.decide(&request(&captured, "k", void(&captured))),
        Ok(Decision::Decline("already-captured"))
    );
}

#[test]
fn a_refund_counts_those_under_way() {
    let mut payment = captured();
    under_way(&mut payment, "first", Kind::Refund, 60);

    assert_eq!(
        payment.decide(&request(&payment, "k", refund(Some(41)))),
        Ok(Decision::Decline(REFUND_EXCEEDS_CAPTURED))
    );
    assert_eq!(
        payment.decide(&request(&payment, "k", refund(Some(40)))),
        Ok(Decision::Submit(40))
    );
    assert_eq!(
        payment.decide(&request(&payment, "k", refund(None))),
        Ok(Decision::Await(Some(&payment.operations[2])))
    );
}

#[test]
fn another_currency_is_refused() {
    let payment = captured();
    let amount = Money::new(1, "EUR".parse().unwrap());
    let request = request(&payment, "k", Action::Capture { amount });

    assert_eq!(payment.decide(&request), Err(Refusal::CurrencyMismatch));
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Kind, i64),
    /// The oldest, second oldest, … operation under way gets its answer.
    Answer(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::Authorize),
        Just(Kind::Capture),
        Just(Kind::Void),
        Just(Kind::Refund)
    ];
    prop_oneof![
        (kind, 1_i64..=120).prop_map(|(kind, amount)| Step::Ask(kind, amount)),
        (0_usize..3, any::<bool>()).prop_map(|(nth, succeeded)| Step::Answer(nth, succeeded)),
    ]
}

fn ask(payment: &mut Payment, key: &str, kind: Kind, minor_units: i64) {
    let action = match kind {
        Kind::Authorize => Action::Authorize {
            order_id: payment.order_id,
            user_id: UserId::new(payment.order_id.slot()),
            amount: usd(minor_units),
            token: "tok_ok".to_owned(),
        },
        Kind::Capture => capture(minor_units),
        Kind::Void => void(payment),
        Kind::Refund => refund((minor_units <= 100).then_some(minor_units)),
    };
    let wanted = request(payment, key, action);
    if let Ok(Decision::Submit(granted)) = payment.decide(&wanted) {
        under_way(payment, key, kind, granted);
    }
}

proptest! {
    /// The table's own checks say the same: they must never be what stops a request.
    #[test]
    fn no_interleaving_grants_the_same_money_twice(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut payment = pending();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ask(kind, amount) => ask(&mut payment, &number.to_string(), kind, amount),
                Step::Answer(nth, succeeded) => {
                    let open: Vec<usize> = (0..payment.operations.len())
                        .filter(|&index| !payment.operations[index].state.is_settled())
                        .collect();
                    if let Some(&index) = open.get(nth) {
                        settle(&mut payment, index, succeeded);
                    }
                }
            }
            prop_assert!(payment.captured >= 0 && payment.refunded >= 0);
            prop_assert!(payment.capture_pending >= 0 && payment.refund_pending >= 0);
            prop_assert!(payment.captured + payment.capture_pending <= payment.authorized);
            prop_assert!(payment.refunded + payment.refund_pending <= payment.captured);
            let ended = matches!(payment.status, Status::Voided | Status::Declined);
            if ended || payment.voiding {
                prop_assert_eq!(payment.captured + payment.capture_pending, 0);
            }
        }
    }
}
