//! The page, where it is asked for: `--http` of `swath coordinator` and `swath run`.

use std::sync::Arc;

use swath_backends::open::Doors;
use swath_coordinator::{
    http::{Door, Options, Page, Token, imagery::Imagery},
    live::Live,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{DoorArgs, HttpArgs},
    config,
    exit::Usage,
    profile, text,
};

const TOKEN: &str = "SWATH_HTTP_TOKEN";

/// Who serves the page until it is told to stop.
pub(crate) struct Served {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    /// Connections are closed in good order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the page came to a bad end");
        }
    }
}

/// What was asked for, before anything is begun; none where nobody wants a page.
pub(crate) fn wanted(args: &HttpArgs) -> anyhow::Result<Option<Options>> {
    let Some(listen) = args.http else { return Ok(None) };
    let options = Options { listen, token: token(args)? };
    options.check().map_err(Usage)?;
    Ok(Some(options))
}

/// An address that can't be had is an error at once.
pub(crate) async fn open(
    wanted: Option<Options>,
    doors: &Doors,
    args: &DoorArgs,
    live: &Live,
) -> anyhow::Result<Option<Served>> {
    let Some(options) = wanted else { return Ok(None) };
    let door = Door::open(options.listen).await?;
    note!("page http://{}/", door.address);
    tracing::info!(address = %door.address, "serving the page");
    let page = Page {
        doors: doors.clone(),
        shown: config::shown(&config::urls(args)),
        live: live.clone(),
        prices: profile::prices(args.prices.as_deref(), args.profile.as_deref())?,
        imagery: imagery(),
        token: options.token,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(door.serve(page, stop.clone()));
    Ok(Some(Served { stop, task }))
}

/// From its file or the environment; never from the command line, which all on a machine can read.
fn token(args: &HttpArgs) -> anyhow::Result<Option<Token>> {
    let of_file = args.http_token_file.as_ref();
    let of_env = std::env::var_os(TOKEN).map(|token| text::of(token.into_encoded_bytes(), "a token"));
    let of_env = of_env.transpose().map_err(|why| Usage(format!("{TOKEN}: {why}")))?;
    let of_env = of_env.filter(|text| !text.trim().is_empty());
    let (text, from) = match (of_file, of_env) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(
                Usage(format!("{TOKEN} and --http-token-file are both set; one of them has to go")).into()
            );
        }
        (Some(path), None) => {
            let from = format!("--http-token-file {}", path.display());
            (text::read(path, "a token").map_err(|why| Usage(format!("{from}: {why}")))?, from)
        }
        (None, Some(text)) => (text, TOKEN.to_owned()),
    };
    Ok(Some(Token::new(&text).map_err(|why| Usage(format!("{from}: {why}")))?))
}

#[cfg(feature = "worker")]
fn imagery() -> Option<Arc<dyn Imagery>> {
    Some(Arc::new(crate::imagery::Painter::default()))
}

#[cfg(not(feature = "worker"))]
fn imagery() -> Option<Arc<dyn Imagery>> {
    None
}
