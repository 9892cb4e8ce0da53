//! What an account is, and what may be one.

use auth::Role;
use chassis::fault::InvalidField;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use types::{UserId, normalise};

use crate::error::invalid;

const EMAIL_BYTES_MAX: usize = 254;
const NAME_CHARS_MAX: usize = 100;
const PASSWORD_CHARS_MIN: usize = 8;
/// More would only feed the hash function.
const PASSWORD_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: UserId,
    pub(crate) email: Email,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
}

/// An e-mail address in normal form. Whether it can be reached shows when mail is sent.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Email(String);

impl Email {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidField> {
        let email = normalise(text);
        let refuse = |code, detail| Err(invalid("email", code, detail));
        if email.is_empty() {
            return refuse("required", "an e-mail address is needed");
        }
        if email.len() > EMAIL_BYTES_MAX {
            return refuse("too-long", "at most 254 bytes");
        }
        // The mail library knows the grammar (RFC 5321 §4.1.2).
        if email.parse::<lettre::Address>().is_err() {
            return refuse("invalid", "not an e-mail address");
        }
        Ok(Self(email))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password that may be chosen; it cannot be printed.
#[derive(Clone, Debug)]
pub(crate) struct Password(SecretString);

impl Password {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidField> {
        let refuse = |code, detail| Err(invalid("password", code, detail));
        if text.is_empty() {
            return refuse("required", "a password is needed");
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return refuse("too-short", "at least 8 characters");
        }
        if text.len() > PASSWORD_BYTES_MAX {
            return refuse("too-long", "at most 1024 bytes");
        }
        Ok(Self(text.into()))
    }

    /// A password to compare with a chosen one; `None` when nobody can have chosen it.
    pub(crate) fn attempt(text: &str) -> Option<Self> {
        (text.len() <= PASSWORD_BYTES_MAX).then(|| Self(text.into()))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Trimmed; 1 to 100 characters without control characters.
pub(crate) fn parse_name(text: &str) -> Result<String, InvalidField> {
    let name = text.trim();
    let refuse = |code, detail| Err(invalid("name", code, detail));
    if name.is_empty() {
        return refuse("required", "a name is needed");
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return refuse("too-long", "at most 100 characters");
    }
    if name.chars().any(char::is_control) {
        return refuse("invalid", "no control characters");
    }
    Ok(name.to_owned())
}

/// An account that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct NewUser {
    pub(crate) email: Email,
    pub(crate) password: Password,
    pub(crate) name: String,
}

impl NewUser {
    /// Names every field at fault.
    pub(crate) fn parse(
        email: &str,
        password: &str,
        name: &str,
    ) -> Result<Self, Vec<InvalidField>> {
        match (
            Email::parse(email),
            Password::parse(password),
            parse_name(name),
        ) {
            (Ok(email), Ok(password), Ok(name)) => Ok(Self {
                email,
                password,
                name,
            }),
            (email, password, name) => {
                let faults = [email.err(), password.err(), name.err()];
                Err(faults.into_iter().flatten().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_kept_in_its_normal_form() {
        let email = Email::parse("  Customer-1@Example.COM ").unwrap();

        assert_eq!(email.as_str(), "customer-1@example.com");
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long = format!("{}@example.com", "x".repeat(250));
        for text in [
            "",
            "customer",
            "@example.com",
            "a@",
            "a b@example.com",
            "a@b@c",
            &long,
        ] {
            assert_eq!(Email::parse(text).unwrap_err().field, "email", "{text}");
        }
    }

    #[test]
    fn every_field_at_fault_is_named() {
        let faults = NewUser::parse("customer", "short", " ").unwrap_err();

        let named: Vec<_> = faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.code.as_str()))
            .collect();
        assert_eq!(
            named,
            [
                ("email", "invalid"),
                ("password", "too-short"),
                ("name", "required")
            ]
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        let password = Password::parse("correct horse").unwrap();

        assert!(!format!("{password:?}").contains("horse"));
    }
}
