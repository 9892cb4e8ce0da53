#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page has 1 to 100 items")]
pub struct InvalidLimit;

/// Which part of a list is wanted: at most `limit` items after `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    cursor: Option<String>,
}

impl Page {
    const LIMIT_DEFAULT: u32 = 20;
    const LIMIT_MAX: u32 = 100;

    /// A limit of 0 means 20; an empty cursor means the first page.
    pub fn new(limit: u32, cursor: String) -> Result<Self, InvalidLimit> {
        let limit = match limit {
            0 => Self::LIMIT_DEFAULT,
            1..=Self::LIMIT_MAX => limit,
            _ => return Err(InvalidLimit),
        };
        let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
        Ok(Self { limit, cursor })
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The cursor that the page before answered; see [`crate::cursor::decode`].
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}
