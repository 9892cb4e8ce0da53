//! A slot that is fenced refuses every write, and takes it once the fence is lifted.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]
