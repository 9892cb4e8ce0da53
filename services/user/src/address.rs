//! Postal addresses, as far as they can be checked without a map.

use chassis::fault::InvalidField;
use types::AddressId;

use crate::error::invalid;

const LINE_CHARS_MAX: usize = 200;
const POSTAL_CODE_CHARS_MAX: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) city: String,
    pub(crate) region: Option<String>,
    pub(crate) postal_code: String,
    pub(crate) country: String,
}

/// An address in a user's book.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct BookEntry {
    pub(crate) address_id: AddressId,
    #[sqlx(flatten)]
    pub(crate) address: Address,
    pub(crate) version: i64,
}

impl Address {
    /// The address trimmed, with empty optional lines left out; or every field at fault.
    pub(crate) fn checked(self) -> Result<Self, Vec<InvalidField>> {
        let trimmed = |text: &str| text.trim().to_owned();
        let optional = |text: Option<String>| {
            text.map(|text| trimmed(&text))
                .filter(|text| !text.is_empty())
        };
        let address = Self {
            name: trimmed(&self.name),
            line1: trimmed(&self.line1),
            line2: optional(self.line2),
            city: trimmed(&self.city),
            region: optional(self.region),
            postal_code: trimmed(&self.postal_code),
            country: trimmed(&self.country),
        };
        let faults = address.faults();
        if faults.is_empty() {
            Ok(address)
        } else {
            Err(faults)
        }
    }

    fn faults(&self) -> Vec<InvalidField> {
        let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut faults: Vec<_> = [
            ("name", &self.name, LINE_CHARS_MAX),
            ("line1", &self.line1, LINE_CHARS_MAX),
            ("line2", &optional(&self.line2), LINE_CHARS_MAX),
            ("city", &self.city, LINE_CHARS_MAX),
            ("region", &optional(&self.region), LINE_CHARS_MAX),
            ("postalCode", &self.postal_code, POSTAL_CODE_CHARS_MAX),
        ]
        .into_iter()
        .filter_map(|(field, text, chars_max)| fault(field, text, chars_max))
        .collect();
        if !types::is_country(&self.country) {
            let detail = "two upper-case letters of ISO 3166-1 are expected";
            faults.push(invalid("country", "unknown-country", detail));
        }
        faults
    }
}

fn fault(field: &str, text: &str, chars_max: usize) -> Option<InvalidField> {
    if text.is_empty() {
        Some(invalid(field, "required", "it is empty"))
    } else if text.chars().count() > chars_max {
        Some(invalid(
            field,
            "too-long",
            format!("at most {chars_max} characters"),
        ))
    } else if text.chars().any(char::is_control) {
        Some(invalid(field, "invalid", "no control characters"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address {
            name: "Customer One".to_owned(),
            line1: " 1 High Street ".to_owned(),
            line2: Some(" ".to_owned()),
            city: "Springfield".to_owned(),
            region: None,
            postal_code: "12345".to_owned(),
            country: "US".to_owned(),
        }
    }

    #[test]
    fn an_address_is_trimmed_and_empty_lines_are_left_out() {
        let checked = address().checked().unwrap();

        assert_eq!(checked.line1, "1 High Street");
        assert_eq!(checked.line2, None);
    }

    #[test]
    fn every_field_at_fault_is_named_as_in_public() {
        let wrong = Address {
            name: String::new(),
            line1: "x".repeat(201),
            postal_code: "1\n2".to_owned(),
            country: "us".to_owned(),
            ..address()
        };

        let faults = wrong.checked().unwrap_err();

        let named: Vec<_> = faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.code.as_str()))
            .collect();
        assert_eq!(
            named,
            [
                ("name", "required"),
                ("line1", "too-long"),
                ("postalCode", "invalid"),
                ("country", "unknown-country"),
            ]
        );
    }
}
