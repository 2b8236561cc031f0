//! What is made of the command line for those who package it: the manual page, and completions for shells.

use std::io::{self, Write};

use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

const MAN: &str = "man";
const COMPLETIONS: &str = "completions";
const SHELL: &str = "shell";

/// The subcommands that print these.
pub fn subcommands() -> [Command; 2] {
    let shell = Arg::new(SHELL).required(true).value_parser(clap::value_parser!(Shell));
    [
        Command::new(COMPLETIONS).about("Print what makes a shell complete flags.").arg(shell),
        Command::new(MAN).about("Print the manual page."),
    ]
}

/// Writes what `matches` asks for to `output`; false if that is none of these.
///
/// # Errors
///
/// If the output cannot be written.
pub fn print(
    matches: &ArgMatches,
    mut command: Command,
    output: &mut impl Write,
) -> io::Result<bool> {
    match matches.subcommand() {
        Some((MAN, _)) => clap_mangen::Man::new(command).render(output)?,
        Some((COMPLETIONS, arguments)) => {
            let Some(shell) = arguments.get_one::<Shell>(SHELL) else { return Ok(false) };
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, name, &mut script);
            output.write_all(&script)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
