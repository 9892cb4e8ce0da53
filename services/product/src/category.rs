//! The rules of categories.

use chassis::fault::InvalidField;
use types::CategoryId;

use crate::product::{check_slug, check_text};

const NAME_CHARS_MAX: usize = 100;

/// A category as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Category {
    pub(crate) category_id: CategoryId,
    pub(crate) version: i64,
    pub(crate) draft: CategoryDraft,
}

/// What staff decide of a category.
#[derive(Clone, Debug)]
pub(crate) struct CategoryDraft {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) parent_id: Option<CategoryId>,
}

impl CategoryDraft {
    /// Every field that cannot be accepted.
    pub(crate) fn check(&self) -> Vec<InvalidField> {
        let slug = check_slug("slug", &self.slug);
        let name = check_text("name", &self.name, 1, NAME_CHARS_MAX);
        slug.into_iter().chain(name).collect()
    }
}
