use types::InvalidId;

use crate::kafka::NoEvent;

/// Why an event could not be published or take effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("kafka did not acknowledge in time")]
    NotAcknowledged,
    #[error(transparent)]
    Record(#[from] NoEvent),
    #[error("the payload is no message of its type")]
    Payload(#[from] prost::DecodeError),
    #[error("a field of the event is no id")]
    Id(#[from] InvalidId),
    /// What a service's own reaction failed with.
    #[error(transparent)]
    Reaction(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The error with its causes, in one line.
    pub(crate) fn reason(&self) -> String {
        let first: &dyn std::error::Error = self;
        let causes = std::iter::successors(Some(first), |error| error.source());
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        texts.join(": ")
    }

    pub fn reaction(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Reaction(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
