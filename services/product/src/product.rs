//! The rules of the catalogue: what a product may look like.

use std::collections::{BTreeMap, BTreeSet};

use chassis::fault::InvalidField;
use types::{Money, ProductId, Sku};

pub(crate) const VARIANTS_MAX: usize = 100;
const PRICE_MINOR_UNITS_MAX: i64 = 100_000_000_000;
const NAME_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 10_000;
const SLUG_CHARS_MAX: usize = 100;
const ATTRIBUTES_MAX: usize = 50;
const ATTRIBUTE_CHARS_MAX: usize = 100;

pub(crate) type Attributes = BTreeMap<String, String>;

/// A product as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) product_id: ProductId,
    pub(crate) version: i64,
    pub(crate) active: bool,
    pub(crate) draft: Draft,
    pub(crate) created_at: jiff::Timestamp,
    pub(crate) updated_at: jiff::Timestamp,
}

/// What staff decide of a product.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// The category's slug.
    pub(crate) category: String,
    pub(crate) attributes: Attributes,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variant {
    pub(crate) sku: Sku,
    pub(crate) options: Attributes,
    pub(crate) price: Money,
}

impl Draft {
    pub(crate) fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.variants.iter().map(|variant| &variant.sku)
    }

    /// The lowest of the prices, in minor units.
    pub(crate) fn price_min(&self) -> i64 {
        let prices = self
            .variants
            .iter()
            .map(|variant| variant.price.minor_units);
        prices.min().unwrap_or_default()
    }

    /// Every field that cannot be accepted.
    pub(crate) fn check(&self) -> Vec<InvalidField> {
        let mut faults = Vec::new();
        faults.extend(check_slug("slug", &self.slug));
        faults.extend(check_text("name", &self.name, 1, NAME_CHARS_MAX));
        faults.extend(check_text(
            "description",
            &self.description,
            0,
            DESCRIPTION_CHARS_MAX,
        ));
        faults.extend(check_attributes("attributes", &self.attributes));
        if self.variants.is_empty() || self.variants.len() > VARIANTS_MAX {
            let detail = format!("a product has 1 to {VARIANTS_MAX} variants");
            faults.push(invalid("variants", "wrong-count", detail));
        }
        let mut skus = BTreeSet::new();
        let mut currencies = BTreeSet::new();
        for (i, variant) in self.variants.iter().enumerate() {
            if !skus.insert(&variant.sku) {
                let detail = format!("{} stands twice", variant.sku);
                faults.push(invalid(&format!("variants[{i}].sku"), "duplicate", detail));
            }
            currencies.insert(variant.price.currency.code());
            faults.extend(check_price(i, variant.price));
            faults.extend(check_attributes(
                &format!("variants[{i}].options"),
                &variant.options,
            ));
        }
        if currencies.len() > 1 {
            let detail = "the variants of a product share one currency".to_owned();
            faults.push(invalid("variants", "currency-mismatch", detail));
        }
        faults
    }
}

fn check_price(position: usize, price: Money) -> Option<InvalidField> {
    let fits = (1..=PRICE_MINOR_UNITS_MAX).contains(&price.minor_units);
    let field = format!("variants[{position}].price.minorUnits");
    let detail = format!("1 to {PRICE_MINOR_UNITS_MAX} is expected");
    (!fits).then(|| invalid(&field, "out-of-range", detail))
}

/// Lower-case letters, digits and single hyphens: fit for a URL.
pub(crate) fn check_slug(field: &str, slug: &str) -> Option<InvalidField> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=SLUG_CHARS_MAX).contains(&slug.len())
        && slug.bytes().all(allowed)
        && !slug.starts_with('-')
        && !slug.ends_with('-');
    let detail = format!("1 to {SLUG_CHARS_MAX} of a-z 0-9 - are expected");
    (!fits).then(|| invalid(field, "malformed", detail))
}

pub(crate) fn check_text(field: &str, text: &str, min: usize, max: usize) -> Option<InvalidField> {
    let chars = text.trim().chars().count();
    let detail = format!("{min} to {max} characters are expected");
    (!(min..=max).contains(&chars)).then(|| invalid(field, "wrong-length", detail))
}

fn check_attributes(field: &str, attributes: &Attributes) -> Option<InvalidField> {
    let fits = |text: &String| (1..=ATTRIBUTE_CHARS_MAX).contains(&text.chars().count());
    let all_fit = attributes
        .iter()
        .all(|(name, value)| fits(name) && fits(value));
    if all_fit && attributes.len() <= ATTRIBUTES_MAX {
        return None;
    }
    let detail = format!(
        "at most {ATTRIBUTES_MAX} names and values of 1 to {ATTRIBUTE_CHARS_MAX} characters are expected"
    );
    Some(invalid(field, "malformed", detail))
}

pub(crate) fn invalid(field: &str, code: &str, detail: String) -> InvalidField {
    InvalidField {
        field: field.to_owned(),
        code: code.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(sku: &str, minor_units: i64, currency: &str) -> Variant {
        Variant {
            sku: sku.parse().unwrap(),
            options: Attributes::new(),
            price: Money::new(minor_units, currency.parse().unwrap()),
        }
    }

    fn draft(variants: Vec<Variant>) -> Draft {
        Draft {
            slug: "red-mug".to_owned(),
            name: "Red mug".to_owned(),
            description: String::new(),
            category: "kitchen".to_owned(),
            attributes: Attributes::new(),
            variants,
        }
    }

    fn faults(draft: &Draft) -> Vec<String> {
        draft.check().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_plain_product_is_accepted() {
        let draft = draft(vec![
            variant("MUG-1", 1999, "USD"),
            variant("MUG-2", 999, "USD"),
        ]);

        assert_eq!(faults(&draft), Vec::<String>::new());
        assert_eq!(draft.price_min(), 999);
    }

    #[test]
    fn every_bad_field_is_named() {
        let mut bad = draft(vec![
            variant("MUG-1", 0, "USD"),
            variant("MUG-1", PRICE_MINOR_UNITS_MAX + 1, "EUR"),
        ]);
        bad.slug = "Red mug".to_owned();
        bad.name = " ".to_owned();
        bad.attributes = [("colour".to_owned(), "x".repeat(101))].into();

        assert_eq!(
            faults(&bad),
            [
                "slug",
                "name",
                "attributes",
                "variants[0].price.minorUnits",
                "variants[1].sku",
                "variants[1].price.minorUnits",
                "variants",
            ]
        );
    }

    #[test]
    fn a_product_without_variants_is_refused() {
        assert_eq!(faults(&draft(Vec::new())), ["variants"]);
    }
}
