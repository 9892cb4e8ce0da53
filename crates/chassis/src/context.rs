//! What travels with a request through every call it makes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::UserId;

use crate::caller::Caller;
use crate::consistency::Consistency;
use crate::trace::Trace;

/// Who calls, until when, and what must be seen.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub caller: Caller,
    /// No work starts after it.
    pub deadline: Option<Instant>,
    /// What the caller has written or read, and what this request adds to it.
    pub consistency: Consistency,
    pub request_id: Option<Arc<str>>,
    pub trace: Option<Trace>,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    /// The request's; a guest's empty one outside any request.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// The place of the current work in its trace, recorded or not.
    pub(crate) fn current_trace() -> Option<Trace> {
        CURRENT.try_with(|context| context.trace).ok().flatten()
    }

    /// A worker of `service`, acting for a user where there is one, with this long to do its work.
    pub fn for_worker(service: &'static str, user_id: Option<UserId>, limit: Duration) -> Self {
        Self {
            caller: Caller::service(service, user_id),
            deadline: Some(Instant::now() + limit),
            ..Self::default()
        }
    }

    /// Whether somebody who calls `service` waits for the current work; its own workers do not.
    pub fn is_of_caller(service: &str) -> bool {
        let is_caller = |context: &Self| !context.caller.is_service(service);
        CURRENT.try_with(is_caller).unwrap_or(false)
    }

    /// Runs the future with this context as the current one.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}
