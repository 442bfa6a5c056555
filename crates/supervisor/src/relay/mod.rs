//! The ways out of a sandbox: Unix sockets that this process listens on, one a purpose.
//!
//! A workload under network isolation gets none of them.

mod api;
mod connections;
mod credentials;
mod egress;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kennel_exec::{Outbound, socket};
use tokio_util::task::AbortOnDropHandle;

use crate::Context;
use crate::error::Failure;
use credentials::CredentialsServer;

/// Ports inside of the sandbox. On hosts without namespaces free ones are taken instead.
const API_PORT: u16 = 4566;
const CREDENTIALS_PORT: u16 = 4567;
const EGRESS_PORT: u16 = 3128;

/// Tells the workload where its connections to the outside go.
const EGRESS_VARIABLE: &str = "KENNEL_EGRESS_PROXY";
const NOWHERE: &str = "127.0.0.1:1";

/// Sockets in the run's directory.
const API_SOCKET: &str = "api.sock";
const CREDENTIALS_SOCKET: &str = "credentials.sock";
const EGRESS_SOCKET: &str = "egress.sock";

/// Relays that work until they are dropped.
pub(crate) struct Relays {
    outbound: Vec<Outbound>,
    env: BTreeMap<String, String>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Relays {
    pub fn open(context: &Context) -> Result<Self, Failure> {
        let mut relays = Self { outbound: Vec::new(), env: BTreeMap::new(), _tasks: Vec::new() };
        if context.spec().network_isolation {
            // Where the sandbox has no network of its own, the workload would connect by itself
            // when it knows no relay. Nothing listens at port 1: every fetch fails.
            relays.env.insert(EGRESS_VARIABLE.to_owned(), NOWHERE.to_owned());
            return Ok(relays);
        }
        let api = relays.add(
            context,
            API_SOCKET,
            API_PORT,
            &[("AWS_ENDPOINT_URL", "http://127.0.0.1:{port}")],
        )?;
        relays.serve(api::serve(api, api::authority(&context.spec().api_endpoint)?));

        let variables =
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:{port}/credentials")];
        let listener = relays.add(context, CREDENTIALS_SOCKET, CREDENTIALS_PORT, &variables)?;
        let server = CredentialsServer::new(context.post.clone())?;
        relays.env.insert("AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned(), server.token());
        relays.serve(server.serve(listener));

        let variables = [(EGRESS_VARIABLE, "127.0.0.1:{port}")];
        let listener = relays.add(context, EGRESS_SOCKET, EGRESS_PORT, &variables)?;
        relays.serve(egress::serve(listener));
        Ok(relays)
    }

    pub fn outbound(&self) -> Vec<Outbound> {
        self.outbound.clone()
    }

    /// Beside the variables that name ports.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }

    fn add(
        &mut self,
        context: &Context,
        name: &str,
        port: u16,
        variables: &[(&str, &str)],
    ) -> Result<tokio::net::UnixListener, Failure> {
        let host_socket: PathBuf = context.run_dir.join(name);
        let listener = socket::listen(&host_socket)
            .map_err(Failure::io("a relay of the sandbox could not be opened"))?;
        let owned = |(name, template): &(&str, &str)| ((*name).to_owned(), (*template).to_owned());
        let port_env = variables.iter().map(owned).collect();
        self.outbound.push(Outbound { host_socket, port, port_env });
        Ok(listener)
    }

    fn serve(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self._tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }
}
