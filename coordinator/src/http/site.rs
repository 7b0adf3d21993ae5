//! What all requests share.

use std::sync::Arc;

use swath_backends::open::{Doors, Urls};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    access::Token, events::Channels, imagery::Imagery, layout::Layouts, listed::Listed, rate::Rate,
    tiles::Tiles, watch::Looks,
};
use crate::{live::Live, money::Prices};

/// A page with all its tiles is a few hundred requests at once.
const REQUESTS: (f64, f64) = (200.0, 2000.0);
/// Tokens that one address may try: guessing is hopeless, and loud.
const LOGINS: (f64, f64) = (0.1, 10.0);
/// Those who are told what happens. Each holds a connection.
const WATCHERS: usize = 512;

/// What the page shows, and to whom.
pub struct Page {
    pub doors: Doors,
    /// For people, and without secrets.
    pub shown: Urls,
    pub live: Live,
    /// What rented machines cost.
    pub prices: Prices,
    /// Who draws pixels; none in a program that was built without GDAL.
    pub imagery: Option<Arc<dyn Imagery>>,
    /// Without one the page is for this machine alone.
    pub token: Option<Token>,
}

/// Handle for whoever answers a request.
#[derive(Clone)]
pub(super) struct Site(Arc<Inner>);

struct Inner {
    page: Page,
    rate: Rate,
    logins: Rate,
    watchers: Arc<Semaphore>,
    channels: Channels,
    layouts: Layouts,
    looks: Looks,
    listed: Listed,
    tiles: Tiles,
    stop: CancellationToken,
}

impl Site {
    pub(super) fn new(page: Page, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            page,
            rate: Rate::new(REQUESTS.0, REQUESTS.1),
            logins: Rate::new(LOGINS.0, LOGINS.1),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            channels: Channels::default(),
            layouts: Layouts::default(),
            looks: Looks::default(),
            listed: Listed::default(),
            tiles: Tiles::default(),
            stop,
        }))
    }

    pub(super) fn doors(&self) -> &Doors {
        &self.0.page.doors
    }

    pub(super) fn shown(&self) -> &Urls {
        &self.0.page.shown
    }

    pub(super) fn live(&self) -> &Live {
        &self.0.page.live
    }

    pub(super) fn prices(&self) -> &Prices {
        &self.0.page.prices
    }

    pub(super) fn imagery(&self) -> Option<&Arc<dyn Imagery>> {
        self.0.page.imagery.as_ref()
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.0.page.token.as_ref()
    }

    pub(super) fn rate(&self) -> &Rate {
        &self.0.rate
    }

    pub(super) fn logins(&self) -> &Rate {
        &self.0.logins
    }

    pub(super) fn watchers(&self) -> Arc<Semaphore> {
        self.0.watchers.clone()
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.0.channels
    }

    pub(super) fn layouts(&self) -> &Layouts {
        &self.0.layouts
    }

    pub(super) fn looks(&self) -> &Looks {
        &self.0.looks
    }

    pub(super) fn listed(&self) -> &Listed {
        &self.0.listed
    }

    pub(super) fn tiles(&self) -> &Tiles {
        &self.0.tiles
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}
