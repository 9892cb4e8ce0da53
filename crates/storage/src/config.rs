use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// Databases and cache of one service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Primaries, as `name=postgres://…,name=postgres://…`; the first holds the control tables.
    #[arg(long)]
    pub shards: DatabaseList,

    /// Replicas, as `name=postgres://…`; the name is the shard's and may be repeated.
    #[arg(long, default_value = "")]
    pub replicas: DatabaseList,

    /// The owner role's primaries, past any pooler, for `migrate`; default: the shards.
    #[arg(long, default_value = "")]
    pub direct: DatabaseList,

    /// Connections to each database from this process.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pool_size: u32,

    /// How long a caller waits for one of these connections, in milliseconds; less where its
    /// deadline is nearer.
    #[arg(long, default_value_t = 2000)]
    pub pool_wait_ms: u64,

    /// How long a statement may run, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    pub statement_timeout_ms: u64,

    /// The service's own Redis.
    #[arg(long, default_value = "redis://127.0.0.1:6391")]
    pub redis_url: RedisUrl,
}

/// Databases by the names of their shards; their passwords are never printed.
#[derive(Clone, Debug)]
pub struct DatabaseList(Vec<Database>);

impl FromStr for DatabaseList {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text.split(',').filter(|entry| !entry.is_empty());
        entries.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Clone)]
struct Database {
    name: String,
    dsn: SecretString,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=..", self.name)
    }
}

impl FromStr for Database {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "name=postgres://user:password@host:port/database is expected";
        let (name, dsn) = text.split_once('=').ok_or(EXPECTED)?;
        if name.is_empty() || dsn.parse::<PgConnectOptions>().is_err() {
            return Err(EXPECTED);
        }
        Ok(Self {
            name: name.to_owned(),
            dsn: dsn.into(),
        })
    }
}

/// The address of a Redis server, whose password is never printed.
#[derive(Clone)]
pub struct RedisUrl(SecretString);

impl RedisUrl {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis://..")
    }
}

impl FromStr for RedisUrl {
    type Err = fred::error::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        fred::types::config::Config::from_url(text)?;
        Ok(Self(text.into()))
    }
}

/// The shards that a [`Config`] names, in its order.
pub(crate) struct Databases {
    pub(crate) shards: Vec<ShardDatabases>,
}

pub(crate) struct ShardDatabases {
    pub(crate) name: String,
    pub(crate) primary: PgConnectOptions,
    /// The same database as its owner, past any pooler.
    pub(crate) direct: PgConnectOptions,
    pub(crate) replicas: Vec<PgConnectOptions>,
}

impl Databases {
    /// Refuses a list with a shard named twice or missing, and two shards in one database.
    pub(crate) fn parse(config: &Config) -> Result<Self, Error> {
        let names: BTreeSet<&str> = config.shards.0.iter().map(|shard| &*shard.name).collect();
        let dsns: BTreeSet<&str> = config
            .shards
            .0
            .iter()
            .map(|shard| shard.dsn.expose_secret())
            .collect();
        if names.is_empty() {
            return setting("SHARDS is empty");
        }
        if names.len() != config.shards.0.len() || dsns.len() != config.shards.0.len() {
            return setting("SHARDS names a shard or a database twice");
        }
        let known = |database: &&Database| !names.contains(&*database.name);
        if let Some(unknown) = config.replicas.0.iter().find(known) {
            return setting(format!(
                "REPLICAS names shard {:?}, which SHARDS lacks",
                unknown.name
            ));
        }
        let shards = config
            .shards
            .0
            .iter()
            .map(|shard| ShardDatabases::parse(shard, config));
        Ok(Self {
            shards: shards.collect::<Result<_, _>>()?,
        })
    }
}

impl ShardDatabases {
    fn parse(shard: &Database, config: &Config) -> Result<Self, Error> {
        let of_shard = |database: &&Database| database.name == shard.name;
        let direct = if config.direct.0.is_empty() {
            shard
        } else if let Some(direct) = config.direct.0.iter().find(of_shard) {
            direct
        } else {
            return setting(format!("DIRECT lacks shard {:?}", shard.name));
        };
        let replicas = config.replicas.0.iter().filter(of_shard);
        Ok(Self {
            name: shard.name.clone(),
            primary: shard.options()?,
            direct: direct.options()?,
            replicas: replicas.map(Database::options).collect::<Result<_, _>>()?,
        })
    }
}

impl Database {
    fn options(&self) -> Result<PgConnectOptions, Error> {
        Ok(self.dsn.expose_secret().parse()?)
    }
}

fn setting<T>(fault: impl Into<String>) -> Result<T, Error> {
    Err(Error::Setting(fault.into()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    const A: &str = "a=postgres://order:secret@127.0.0.1:5433/order";
    const B: &str = "b=postgres://order:secret@127.0.0.1:5434/order";

    fn parse(arguments: &[&str]) -> Result<Databases, Error> {
        let arguments = ["service"].iter().chain(arguments);
        Databases::parse(&Cli::try_parse_from(arguments).unwrap().config)
    }

    #[test]
    fn shards_keep_their_order_and_find_their_replicas() {
        let replica = "b=postgres://order:secret@127.0.0.1:5436/order";

        let databases = parse(&["--shards", &format!("{B},{A}"), "--replicas", replica]).unwrap();

        let names: Vec<_> = databases.shards.iter().map(|shard| &*shard.name).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(databases.shards[0].replicas[0].get_port(), 5436);
        assert_eq!(databases.shards[1].replicas.len(), 0);
        assert_eq!(databases.shards[1].direct.get_port(), 5433);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let same_database = B.replace("b=", "c=");
        for arguments in [
            vec!["--shards".to_owned(), format!("{A},{A}")],
            vec!["--shards".to_owned(), format!("{B},{same_database}")],
            vec![
                "--shards".to_owned(),
                A.to_owned(),
                "--replicas".to_owned(),
                B.to_owned(),
            ],
            vec![
                "--shards".to_owned(),
                A.to_owned(),
                "--direct".to_owned(),
                B.to_owned(),
            ],
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

            assert!(
                matches!(parse(&arguments), Err(Error::Setting(_))),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let config = Cli::try_parse_from(["service", "--shards", A])
            .unwrap()
            .config;

        assert!(!format!("{config:?}").contains("secret"));
    }
}
