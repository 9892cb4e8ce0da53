//! The query of a request: every parameter is taken by name, and what is left over is refused.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use proto::common::v1::PageRequest;

use crate::error::Problem;
use crate::problems;

const PAGE_SIZE_MAX: u32 = 100;

/// The longest text that a parameter takes.
const TEXT_BYTES_MAX: usize = 512;

/// What a handler has not taken yet.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| {
            Problem::new(&problems::MALFORMED).with_detail("the query cannot be read")
        })?;
        Self::new(pairs.0)
    }
}

impl Parameters {
    fn new(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, text) in pairs {
            if text.len() > TEXT_BYTES_MAX {
                let detail = format!("at most {TEXT_BYTES_MAX} bytes are taken");
                return Err(refuse(&name, "too-long", detail));
            }
            if parameters.insert(name.clone(), text).is_some() {
                return Err(refuse(&name, "duplicate-field", "is given twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// An empty parameter is an absent one.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// `expected` completes "… is expected".
    pub fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| refuse(name, "wrong-type", format!("{expected} is expected")))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(refuse(
            name,
            "unknown",
            format!("one of {} is expected", words.join(", ")),
        ))
    }

    /// Every parameter `prefix<name>`, by its name.
    pub fn with_prefix(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let (ours, rest) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(name, _)| name.starts_with(prefix));
        self.0 = rest;
        ours.into_iter()
            .map(|(name, text)| (name[prefix.len()..].to_owned(), text))
            .collect()
    }

    pub fn page(&mut self) -> Result<PageRequest, Problem> {
        let expected = format!("a number from 1 to {PAGE_SIZE_MAX}");
        let limit: Option<u32> = self.parsed("limit", &expected)?;
        if limit.is_some_and(|limit| !(1..=PAGE_SIZE_MAX).contains(&limit)) {
            return Err(refuse(
                "limit",
                "out-of-range",
                format!("{expected} is expected"),
            ));
        }
        Ok(PageRequest {
            // 0 stands for the default.
            limit: limit.unwrap_or_default(),
            cursor: self.text("cursor").unwrap_or_default(),
        })
    }

    /// Refuses what nobody took.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            Some(name) => Err(refuse(
                &name,
                "unknown-field",
                "is not a parameter of this route",
            )),
            None => Ok(()),
        }
    }
}

fn refuse(name: &str, code: &str, detail: impl Into<String>) -> Problem {
    Problem::field(&problems::INVALID, name, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Result<Parameters, Problem> {
        let pairs = pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Parameters::new(pairs.collect())
    }

    fn code(problem: &Problem) -> (&str, &str) {
        let error = &problem.errors()[0];
        (&error.field, &error.code)
    }

    #[test]
    fn a_limit_is_a_number_from_1_to_100() {
        for (limit, expected) in [
            ("0", "out-of-range"),
            ("101", "out-of-range"),
            ("x", "wrong-type"),
            ("-1", "wrong-type"),
        ] {
            let problem = parameters(&[("limit", limit)]).unwrap().page().unwrap_err();

            assert_eq!(code(&problem), ("limit", expected), "{limit}");
        }
        assert_eq!(
            parameters(&[("limit", "100")])
                .unwrap()
                .page()
                .unwrap()
                .limit,
            100
        );
    }

    #[test]
    fn a_parameter_is_given_once_and_known() {
        let twice = parameters(&[("q", "a"), ("q", "b")]).unwrap_err();
        let mut unknown = parameters(&[("q", "a"), ("colour", "b")]).unwrap();
        unknown.text("q");
        let unknown = unknown.end().unwrap_err();

        assert_eq!(code(&twice), ("q", "duplicate-field"));
        assert_eq!(code(&unknown), ("colour", "unknown-field"));
    }

    #[test]
    fn parameters_with_a_prefix_are_taken_by_name() {
        let mut query = parameters(&[("attribute.colour", "red"), ("q", "mug")]).unwrap();

        let attributes = query.with_prefix("attribute.");

        assert_eq!(
            attributes,
            BTreeMap::from([("colour".to_owned(), "red".to_owned())])
        );
        assert_eq!(query.text("q").as_deref(), Some("mug"));
        assert!(query.end().is_ok());
    }
}
