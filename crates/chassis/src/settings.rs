//! Settings come from flags, from the environment, where `--pool-size` is `ORDER_POOL_SIZE`, and
//! from the file that `--settings-file` names, in this order.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Parser};

/// Why a process refuses to start, in one line that names the setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: no such setting")]
    Unknown(String),
    #[error("{0}")]
    Invalid(String),
    /// Not a failure: the text that `--help` or `--version` asks for.
    #[error(transparent)]
    Display(clap::Error),
}

/// Reads the process's flags and environment, or ends it with one line on standard error.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
pub fn parse<C: Parser>(prefix: &str) -> C {
    match parse_from(prefix, std::env::args_os(), std::env::vars_os()) {
        Ok(settings) => settings,
        Err(Error::Display(text)) => text.exit(),
        Err(error) => {
            eprintln!("{}: {error}", prefix.to_lowercase());
            std::process::exit(2);
        }
    }
}

/// As [`parse`], from given flags and variables. A variable `<PREFIX>_…` that is no setting is refused.
pub fn parse_from<C: Parser>(
    prefix: &str,
    args: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<C, Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = with_environment(C::command(), prefix);
    refuse_unknown(&command, prefix, variables)?;
    if let Some(file) = settings_file(&command, &args) {
        command = with_file(command, &file)?;
    }
    let mut matches = command.try_get_matches_from_mut(args).map_err(one_line)?;
    C::from_arg_matches_mut(&mut matches).map_err(one_line)
}

fn with_environment(command: Command, prefix: &str) -> Command {
    command.mut_args(|arg| {
        let builtin = matches!(arg.get_id().as_str(), "help" | "version");
        if builtin || arg.is_positional() {
            return arg;
        }
        let variable = format!("{prefix}_{}", arg.get_id().as_str().to_uppercase());
        arg.env(variable).hide_env_values(true)
    })
}

/// The file is asked for before everything that is required is there.
fn settings_file(command: &Command, args: &[OsString]) -> Option<PathBuf> {
    let command = command.clone().ignore_errors(true);
    let matches = command.try_get_matches_from(args).ok()?;
    let file = matches.try_get_one::<PathBuf>("settings_file").ok()??;
    Some(file.clone())
}

/// Takes the file's values for what is neither a flag nor a variable.
fn with_file(mut command: Command, file: &Path) -> Result<Command, Error> {
    let unreadable = |error| Error::Invalid(format!("--settings-file {}: {error}", file.display()));
    for line in fs::read_to_string(file).map_err(unreadable)?.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // Never the line itself: it may be a secret.
        let (name, value) = line.split_once('=').ok_or_else(|| {
            let text = "a line is not NAME=value";
            Error::Invalid(format!("--settings-file {}: {text}", file.display()))
        })?;
        let is_named = |arg: &&clap::Arg| arg.get_env() == Some(OsStr::new(name));
        let Some(arg) = command.get_arguments().find(is_named) else {
            return Err(Error::Unknown(name.to_owned()));
        };
        let (id, value) = (arg.get_id().clone(), value.to_owned());
        command = command.mut_arg(id, |arg| arg.required(false).default_value(value));
    }
    Ok(command)
}

fn refuse_unknown(
    command: &Command,
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), Error> {
    let known: Vec<&OsStr> = command
        .get_arguments()
        .filter_map(clap::Arg::get_env)
        .collect();
    let prefix = format!("{prefix}_");
    for (name, _) in variables {
        let ours = name.to_string_lossy().starts_with(&prefix);
        if ours && !known.contains(&name.as_os_str()) {
            return Err(Error::Unknown(name.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

/// clap explains over several lines; operators grep for one.
fn one_line(error: clap::Error) -> Error {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Error::Display(error);
    }
    let missing = error
        .context()
        .find_map(|(kind, value)| match (kind, value) {
            (ContextKind::InvalidArg, ContextValue::Strings(names)) => Some(names.join(", ")),
            _ => None,
        });
    if let (ErrorKind::MissingRequiredArgument, Some(names)) = (error.kind(), missing) {
        return Error::Invalid(format!("{names}: this setting is required"));
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Error::Invalid(first.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[arg(long)]
        pool_size: u32,
        #[arg(long)]
        settings_file: Option<PathBuf>,
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let flag = format!("--settings-file={}", file.path().display());
        (file, flag)
    }

    fn read(args: &[&str], variables: &[(&str, &str)]) -> Result<Cli, Error> {
        let args = std::iter::once("order").chain(args.iter().copied());
        parse_from(
            "ORDER",
            args.map(OsString::from),
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn a_flag_sets_a_setting() {
        assert_eq!(read(&["--pool-size", "7"], &[]).unwrap().pool_size, 7);
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_setting() {
        let error = read(&["--pool-size", "many"], &[]).unwrap_err().to_string();

        assert!(error.contains("--pool-size"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn a_missing_setting_is_named() {
        let error = read(&[], &[]).unwrap_err().to_string();

        assert!(error.contains("--pool-size"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn a_file_gives_what_no_flag_does() {
        let (_file, flag) = file("# secrets\n\nORDER_POOL_SIZE=7\n");

        assert_eq!(read(&[&flag], &[]).unwrap().pool_size, 7);
        let pool_size = read(&[&flag, "--pool-size=8"], &[]).unwrap().pool_size;
        assert_eq!(pool_size, 8);
    }

    #[test]
    fn a_file_that_is_absent_or_wrong_is_refused_without_its_text() {
        let (_file, unknown) = file("ORDER_POOL_SICE=7\n");
        let (_file, torn) = file("secret\n");

        let refused = |flag: &str| read(&[flag], &[]).unwrap_err().to_string();

        assert_eq!(refused(&unknown), "ORDER_POOL_SICE: no such setting");
        assert!(refused(&torn).ends_with("a line is not NAME=value"));
        assert!(refused("--settings-file=/none").starts_with("--settings-file /none: "));
    }

    #[test]
    fn an_unknown_variable_with_our_prefix_is_refused() {
        let error = read(&["--pool-size", "7"], &[("ORDER_POOL_SICE", "7")]).unwrap_err();

        assert_eq!(error.to_string(), "ORDER_POOL_SICE: no such setting");
        assert!(read(&["--pool-size", "7"], &[("PAYMENT_X", "7")]).is_ok());
    }
}
