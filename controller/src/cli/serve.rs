//! `controller serve RUN…`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use super::options::local_path;
use crate::serve::{Server, Token};
use crate::terminal::say;

/// Environment variable with the token.
const TOKEN: &str = "CONTROLLER_PAGE_TOKEN";

/// Show the page of one or several runs in a browser; it follows a search that is going on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  controller serve runs/short
  controller serve runs/seed-1 runs/seed-2 runs/seed-3
  controller serve runs/short --listen 0.0.0.0:7878

Only this machine can open the page, unless --listen names another address: then a browser needs the token in the \
address that is printed. CONTROLLER_PAGE_TOKEN sets it (16 letters and digits or more). The connection is not encrypted: \
in a network that others can read, use `ssh -L 7878:localhost:7878 HOST` instead.

Nothing in a run folder is changed, and no search is slowed down: a folder is read only while a page is open, for at \
most a hundredth of the time.")]
pub(super) struct Serve {
    /// Run folders.
    #[arg(required = true, value_parser = local_path())]
    runs: Vec<PathBuf>,
    /// Address to listen at; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode> {
        let given = match std::env::var(TOKEN) {
            Err(_) => None,
            Ok(text) => Some(
                Token::given(&text)
                    .with_context(|| format!("{TOKEN} cannot be used: it has to be 16 letters and digits or more"))?,
            ),
        };
        let token = if self.listen.ip().is_loopback() { given } else { given.or_else(|| Some(Token::random())) };
        let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the page")?;
        runtime.block_on(async {
            let server = Server::bind(self.listen, token.clone(), self.runs).await?;
            let address = server.address()?;
            let query = token.map_or_else(String::new, |token| format!("?token={}", token.as_str()));
            say(format_args!("http://{address}/{query}   (Ctrl-C ends)"))?;
            tokio::select! {
                result = server.run() => result?,
                _ = tokio::signal::ctrl_c() => {}
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
