//! Where workers show their metrics, in the words of Prometheus's `http_sd`: from what each says of itself in the
//! ledger. Prometheus asks them itself, so it must stand in their network.

use serde_json::{Value, json};
use swath_backends::ledger::Ledger;
use swath_proto::{
    ids::WorkerId,
    worker::{GROUP, Worker, WorkerCard},
};

#[derive(Clone, Debug)]
pub struct Announced {
    pub name: WorkerId,
    pub worker: Worker,
}

/// Who is there. A card of a newer program is passed over, and told of.
pub async fn workers(ledger: &dyn Ledger) -> anyhow::Result<Vec<Announced>> {
    let cards = ledger.announced(GROUP).await?;
    let read = |(name, words): (WorkerId, String)| match serde_json::from_str::<WorkerCard>(&words) {
        Ok(card) => Some(Announced { name, worker: card.into_newest() }),
        Err(error) => {
            tracing::debug!(worker = %name, %error, "what this worker says of itself can't be read");
            None
        }
    };
    Ok(cards.into_iter().filter_map(read).collect())
}

/// A target for each worker that shows metrics, with labels that say which it is.
pub fn targets(workers: &[Announced]) -> Value {
    let target = |Announced { name, worker }: &Announced| {
        let address = worker.metrics?.to_string();
        let zone = worker.instance.as_ref().map_or("", |instance| instance.zone.as_str());
        Some(json!({
            "targets": [address],
            "labels": {
                "worker": name.as_str(),
                "host": worker.host,
                "kind": worker.lanes.join("+"),
                "zone": zone,
            },
        }))
    };
    workers.iter().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_metrics_is_a_target() {
        let sample = include_str!("../../proto/samples/worker-v1.json");
        let worker = serde_json::from_str::<WorkerCard>(sample).unwrap().into_newest();
        let mut silent = worker.clone();
        silent.metrics = None;
        let named = |name: &str, worker| Announced { name: name.parse().unwrap(), worker };
        let found = targets(&[named("worker-a", worker), named("worker-b", silent)]);
        let wanted = json!([{
            "targets": ["10.0.1.7:39121"],
            "labels": { "worker": "worker-a", "host": "ip-10-0-1-7", "kind": "cpu+gpu", "zone": "eu-central-1a" },
        }]);
        assert_eq!(found, wanted);
        assert_eq!(targets(&[]), json!([]), "Prometheus wants a list, even of none");
    }
}
