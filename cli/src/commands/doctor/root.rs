//! The root: an object written, kept from a second writer, read, listed, deleted.

use anyhow::ensure;
use futures::TryStreamExt as _;
use swath_backends::{
    blobs::Put,
    open::{Urls, open_blobs},
};

use super::Door;

const BODY: &str = "one";

pub(super) async fn check(door: &mut Door, urls: &Urls) {
    let Some(blobs) = door.tries("open it", async { Ok(open_blobs(&urls.root).await?) }).await else {
        return;
    };
    let key = format!("doctor/{:016x}", rand::random::<u64>());
    let write = async {
        let first = blobs.put_new(&key, BODY.into()).await?;
        ensure!(first == Put::Created, "{key} is there already, though nobody has written it");
        Ok(())
    };
    let is_written = door.tries("write a new object", write).await.is_some();
    if is_written {
        let again = async {
            let second = blobs.put_new(&key, "two".into()).await?;
            ensure!(
                second == Put::Exists,
                "the store lets a second writer win: a store with conditional writes (If-None-Match) is needed"
            );
            Ok(())
        };
        door.tries("keep a second writer out", again).await;
        let read = async {
            let (whole, part) = (blobs.get(&key).await?, blobs.get_range(&key, 1..3).await?);
            ensure!(whole == BODY && part == BODY[1..3], "it reads other bytes than were written");
            Ok(())
        };
        door.tries("read it, and a part of it", read).await;
    } else {
        door.leaves_out("keep a second writer out");
        door.leaves_out("read it, and a part of it");
    }
    let list = async {
        let listed: Vec<_> = blobs.list("doctor/").try_collect().await?;
        ensure!(
            !is_written || listed.iter().any(|object| object.key == key),
            "an object that was written is not listed"
        );
        Ok(())
    };
    door.tries("list objects", list).await;
    door.tries("delete an object", async { Ok(blobs.delete(&key).await?) }).await;
}
