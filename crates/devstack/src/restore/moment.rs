//! Which moment is asked for, and whether it can be had.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::backup::Backup;

/// The value of `--at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Everything that was committed before the restore began.
    Latest,
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let at = text.parse();
        at.map(Self::At).map_err(|_| {
            "a moment as in RFC 3339, like 2026-11-27T18:30:00Z, or: latest".to_owned()
        })
    }
}

impl Moment {
    /// The moment, to the millisecond as Kafka has it, and the newest backup before it.
    pub(super) fn choose(
        self,
        backups: &[Backup],
        now: Timestamp,
    ) -> anyhow::Result<(Timestamp, Backup)> {
        let first = backups
            .first()
            .context("there is no backup to restore from; make one with: devstack backup")?;
        let first = first.ended_at;
        let at = match self {
            Self::Latest => now,
            Self::At(at) if at > now => bail!("--at {at} is in the future; it is {now}"),
            Self::At(at) => at,
        };
        let at = Timestamp::from_millisecond(at.as_millisecond())?;
        let before = backups.iter().rev().find(|backup| backup.ended_at <= at);
        let Some(backup) = before else {
            bail!(
                "--at {at} is before the end of the first backup; there is everything from {first} to {now}"
            );
        };
        Ok((at, backup.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(at: i64) -> Backup {
        Backup {
            folder: PathBuf::from(at.to_string()),
            began_at: second(at - 1),
            ended_at: second(at),
            bytes: 0,
        }
    }

    #[test]
    fn the_newest_backup_before_the_moment_is_taken() {
        let backups = [ended(10), ended(20), ended(30)];
        let chosen = |moment: Moment| moment.choose(&backups, second(40)).unwrap();

        let (at, backup) = chosen(Moment::At(second(29)));
        let (now, newest) = chosen(Moment::Latest);

        assert_eq!((at, backup.ended_at), (second(29), second(20)));
        assert_eq!((now, newest.ended_at), (second(40), second(30)));
    }

    #[test]
    fn a_moment_that_cannot_be_had_is_refused_with_what_can() {
        let refusal = |at: i64, backups: &[Backup]| {
            let chosen = Moment::At(second(at)).choose(backups, second(40));
            chosen.unwrap_err().to_string()
        };

        let early = refusal(9, &[ended(10)]);
        let future = refusal(41, &[ended(10)]);
        let none = refusal(30, &[]);

        assert!(early.contains("--at 1970-01-01T00:00:09Z"), "{early}");
        assert!(early.contains("from 1970-01-01T00:00:10Z to"), "{early}");
        assert!(future.contains("--at") && future.contains("future"));
        assert!(none.contains("devstack backup"), "{none}");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        assert_eq!("latest".parse(), Ok(Moment::Latest));
        assert!("yesterday".parse::<Moment>().is_err());
        assert!("2026-11-27 18:30".parse::<Moment>().is_err());
    }
}
