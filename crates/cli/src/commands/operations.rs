//! The hidden verb `__operations`: every operation of the JSON and query services with what it
//! reads of a request. The conformance test compares it with the models of the AWS clients.

use std::collections::BTreeMap;
use std::process::ExitCode;

use kennel_api::services;

use crate::printer;

pub fn print() -> ExitCode {
    let mut operations = BTreeMap::new();
    for service in services::ALL {
        for entry in service.operations {
            operations.insert(format!("{}.{}", service.name, entry.name), (entry.input_shape)());
        }
    }
    match printer::json(&operations) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit_code(),
    }
}
