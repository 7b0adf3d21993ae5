//! The queue: a message there and back that no worker sees, where the queue has a way for that, and what waits.

use swath_backends::{
    open::{Urls, open_queue},
    queue::Lane,
};

use super::Door;

pub(super) async fn check(door: &mut Door, urls: &Urls) {
    let open = async { Ok(open_queue(&urls.queue, &urls.root).await?) };
    let Some(queue) = door.tries("connect", open).await else { return };
    // Of the embedded one only its answers are seen.
    let what = match urls.queue == "local:" {
        true => "ask all lanes",
        false => "publish, receive and settle a message",
    };
    let there_and_back = async { Ok(queue.check().await?) };
    for warning in door.tries(what, there_and_back).await.into_iter().flatten() {
        door.points_at(&warning);
    }
    for lane in Lane::ALL {
        let count = async { Ok(queue.waiting(lane).await?) };
        let what = format!("count what waits on lane {}: ", lane.name());
        door.tries_and_tells(&what, count, u64::to_string).await;
    }
}
