use proptest::prelude::*;

use super::*;

fn line(sku: &str, quantity: u32) -> Line {
    Line {
        sku: sku.parse().unwrap(),
        product_id: ProductId::new(Slot::draw()),
        name: "Mug".to_owned(),
        options: BTreeMap::new(),
        quantity,
        unit_price: Money::new(500, "USD".parse().unwrap()),
        parts: Vec::new(),
        fulfilled: 0,
    }
}

#[test]
fn without_items_everything_left_is_shipped() {
    let mut lines = [line("A", 2), line("B", 3)];
    lines[1].fulfilled = 1;

    let shipped = ship(&mut lines, &[]).unwrap();

    let quantities: Vec<u32> = shipped.iter().map(|item| item.quantity).collect();
    assert_eq!(quantities, [2, 2]);
    assert!(lines.iter().all(|line| line.fulfilled == line.quantity));
}

#[test]
fn more_than_is_left_and_a_sku_that_was_not_ordered_are_refused() {
    let a: Sku = "A".parse().unwrap();
    let wanted: [(Sku, i64); 5] = [
        (a.clone(), 3),
        (a.clone(), 0),
        (a.clone(), -1),
        (a, i64::MAX),
        ("B".parse().unwrap(), 1),
    ];

    for item in wanted {
        assert!(
            ship(&mut [line("A", 2)], std::slice::from_ref(&item)).is_err(),
            "{item:?}"
        );
    }
}

#[test]
fn an_address_names_every_field_at_fault() {
    let address = Address {
        name: " ".to_owned(),
        line1: "1 Main Street".to_owned(),
        line2: Some("x".repeat(201)),
        city: "Springfield".to_owned(),
        region: None,
        postal_code: "12345".to_owned(),
        country: "us".to_owned(),
    };

    let Err(Error::Invalid(invalid)) = address.check() else {
        panic!("accepted");
    };

    let fields: Vec<&str> = invalid.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "shippingAddress.name",
            "shippingAddress.line2",
            "shippingAddress.country"
        ]
    );
}

#[test]
fn the_wait_doubles_up_to_a_cap() {
    let waits = [1, 2, 3, 100].map(|attempt| back_off(attempt, 1.0).as_millis());

    assert_eq!(waits, [200, 400, 800, 8_000]);
}

proptest! {
    #[test]
    fn a_number_is_eight_characters_that_begin_with_the_slot(
        slot in 0..types::SLOT_COUNT,
        random: u32,
    ) {
        let number = number(Slot::new(slot).unwrap(), random);

        let value = number.bytes().fold(0_u64, |value, digit| {
            value * 32 + CROCKFORD.iter().position(|known| *known == digit).unwrap() as u64
        });
        prop_assert_eq!(number.len(), 8);
        prop_assert_eq!(value >> 30, u64::from(slot));
    }
}
