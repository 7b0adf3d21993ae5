//! A run's training: what each epoch came to, and pictures of its chips.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures::TryStreamExt as _;
use serde_json::json;
use swath_backends::Kind;
use swath_proto::ids::RunId;

use super::Named;
use crate::http::{error::Problem, site::Site, watch::status_of};

/// Pictures that are listed, the newest ones.
const MOST_PICTURES: usize = 200;

pub(in crate::http) async fn training(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    let status = status_of(&site, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let (mut columns, mut epochs) = (Vec::new(), Vec::new());
    if let Some(log) = &status.training_log {
        match site.doors().blobs.get(log).await {
            Err(error) if error.kind == Kind::NotFound => {}
            text => (columns, epochs) = table(&text?)?,
        }
    }
    let mut pictures = Vec::new();
    if let Some(folder) = folder(status.training_log.as_deref()) {
        let listed = site.doors().blobs.list(&folder);
        let listed: Vec<_> = listed.try_collect().await?;
        let name = |key: &str| key.strip_prefix(&folder)?.strip_suffix(".png").map(str::to_owned);
        pictures.extend(listed.iter().filter_map(|object| name(&object.key)).filter(|name| is_picture(name)));
        pictures.drain(..pictures.len().saturating_sub(MOST_PICTURES));
    }
    Ok(super::json(&json!({
        "progress": status.training,
        "columns": columns,
        "epochs": epochs,
        "pictures": pictures,
    })))
}

pub(in crate::http) async fn picture(
    State(site): State<Site>,
    Named((run, name)): Named<(RunId, String)>,
) -> Result<Response, Problem> {
    let no_picture = || Problem::missing(format!("the training of '{run}' has left no such picture"));
    let status = status_of(&site, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let folder =
        folder(status.training_log.as_deref()).filter(|_| is_picture(&name)).ok_or_else(no_picture)?;
    let png = match site.doors().blobs.get(&format!("{folder}{name}.png")).await {
        Err(error) if error.kind == Kind::NotFound => return Err(no_picture()),
        png => png?,
    };
    let kind = HeaderValue::from_static("image/png");
    let age = HeaderValue::from_static("private, max-age=60");
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, age)], png).into_response())
}

/// Beside the log.
fn folder(log: Option<&str>) -> Option<String> {
    Some(format!("{}debug/", log?.strip_suffix("log.csv")?))
}

/// As trainings call them: `first-batch`, `validation`.
fn is_picture(name: &str) -> bool {
    (1..=60).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

type Table = (Vec<String>, Vec<Vec<Option<f64>>>);

/// What is no number, as NaN is none for JSON, is left out.
fn table(text: &[u8]) -> Result<Table, Problem> {
    let mut reader = csv::Reader::from_reader(text);
    let wrong =
        |error: csv::Error| Problem::from(anyhow::Error::from(error).context("reading the training's log"));
    let columns = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
    let number = |cell: &str| cell.parse::<f64>().ok().filter(|number| number.is_finite());
    let mut rows = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(wrong)?.iter().map(number).collect());
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_a_table_whose_gaps_stay_gaps() {
        let (columns, rows) = table(b"epoch,train_loss,iou\n1,0.5,NaN\n2,0.25,0.75\n").unwrap();
        assert_eq!(columns, ["epoch", "train_loss", "iou"]);
        assert_eq!(rows, [vec![Some(1.0), Some(0.5), None], vec![Some(2.0), Some(0.25), Some(0.75)]]);
        assert!(table(b"epoch,loss\n1\n").is_err());
    }

    #[test]
    fn a_picture_has_a_plain_name() {
        assert!(is_picture("first-batch"));
        for bad in ["", "../log", "a.b", "a/b", "A", &"x".repeat(61)] {
            assert!(!is_picture(bad), "{bad}");
        }
    }
}
