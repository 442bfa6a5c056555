//! `kennel env`: the lines that point AWS programs at the server.

use crate::connect;
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};
use crate::printer::{self, Output};

/// Print export lines for the shell: eval "$(kennel env)"
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(data_dir: &DataDir, arguments: &Arguments) -> Result<(), Failure> {
    let connection = connect::from_data_dir(data_dir)?.ok_or_else(|| {
        let place = data_dir.path().display();
        Failure::new(Kind::Unreachable, format!("no server runs on `{place}`"))
            .hinted("start one with `kennel up`")
    })?;
    let variables = [
        ("AWS_ENDPOINT_URL", &connection.endpoint),
        ("AWS_ACCESS_KEY_ID", &connection.credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &connection.credentials.secret_access_key),
        ("AWS_REGION", &connection.region),
        ("AWS_DEFAULT_REGION", &connection.region),
    ];
    match arguments.output {
        Output::Json => printer::json(&std::collections::BTreeMap::from(variables)),
        Output::Text => {
            // No value holds a quote: keys, URL and region are of narrow alphabets.
            let lines = variables.map(|(name, value)| format!("export {name}='{value}'"));
            printer::data(&lines.join("\n"))
        }
    }
}
