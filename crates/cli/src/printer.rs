//! Data goes to stdout, everything else to stderr. Nothing else in the binary prints.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::failure::{Failure, Kind};

/// How listings and results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// One line of data.
pub fn data(line: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| {
        Failure::caused(Kind::Environment, "could not write to the standard output", &error)
    })
}

/// A value as indented JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::caused(Kind::Environment, "could not write JSON", &error))?;
    data(&text)
}

/// Rows under headings, columns as wide as their widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let width = |column: usize, heading: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(heading.chars().count(), usize::max)
    };
    let widths: Vec<usize> =
        headings.iter().enumerate().map(|(column, heading)| width(column, heading)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    data(&line(&mut headings.iter().copied()))?;
    for row in rows {
        data(&line(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// A remark for the person who waits. Where stderr is gone, nobody waits.
pub fn remark(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
