//! What there is. `web/openapi.json` says the same of the API, and a test holds both together.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get, post},
};

use super::{
    api::{
        about, actions, events, failures, fleet, pictures, run, runs, scenes, scores, sign_in, training,
        workers,
    },
    assets, compress,
    error::Problem,
    security,
    site::Site,
};

/// Of what is asked: some thousand places.
const BODY_BYTES: usize = 256 * 1024;

type Route = (&'static str, &'static str, MethodRouter<Site>);

fn routes() -> Vec<Route> {
    vec![
        ("get", "/", get(assets::index)),
        ("get", "/login", get(assets::login)),
        ("post", "/login", post(sign_in::sign_in)),
        ("post", "/logout", post(sign_in::sign_out)),
        ("get", "/assets/{name}", get(assets::asset)),
        ("get", "/api/openapi.json", get(about::openapi)),
        ("get", "/api/about", get(about::about)),
        ("get", "/api/events", get(events::of_runs)),
        ("get", "/api/workers", get(workers::list)),
        ("get", "/api/fleet", get(fleet::fleet)),
        ("get", "/api/runs", get(runs::list)),
        ("get", "/api/runs/{run}", get(run::run)),
        ("get", "/api/runs/{run}/events", get(events::of_run)),
        ("get", "/api/runs/{run}/report", get(run::report)),
        ("get", "/api/runs/{run}/parts", get(scenes::parts)),
        ("get", "/api/runs/{run}/scores", get(scores::scores)),
        ("get", "/api/runs/{run}/training", get(training::training)),
        ("get", "/api/runs/{run}/training/pictures/{name}", get(training::picture)),
        ("get", "/api/runs/{run}/failures", get(failures::list)),
        ("get", "/api/runs/{run}/failures/{place}", get(failures::one)),
        ("get", "/api/runs/{run}/scenes", get(scenes::list)),
        ("get", "/api/runs/{run}/scenes/{scene}", get(scenes::one)),
        ("get", "/api/runs/{run}/scenes/{scene}/thumbnail", get(pictures::thumbnail)),
        ("get", "/api/runs/{run}/scenes/{scene}/tiles/{layer}/{level}/{x}/{y}", get(pictures::tile)),
        ("post", "/api/runs/{run}/pause", post(actions::pause)),
        ("post", "/api/runs/{run}/resume", post(actions::resume)),
        ("post", "/api/runs/{run}/cancel", post(actions::cancel)),
        ("post", "/api/runs/{run}/priority", post(actions::priority)),
        ("post", "/api/runs/{run}/replay", post(actions::replay)),
        ("post", "/api/runs/{run}/drop", post(actions::drop_items)),
    ]
}

pub(super) fn router(site: Site) -> Router {
    let all = routes().into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    all.fallback(|| async { Problem::missing("there is nothing here") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(compress::compress))
        .layer(from_fn_with_state(site.clone(), security::guard))
        .with_state(site)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_api_is_what_its_description_says() {
        let told: serde_json::Value = serde_json::from_str(about::OPENAPI).unwrap();
        let paths = told["paths"].as_object().unwrap();
        let told: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
            })
            .collect();
        let routes = routes();
        let is_api = |(_, path, _): &&Route| path.starts_with("/api/");
        let there: BTreeSet<_> = routes
            .iter()
            .filter(is_api)
            .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(told, there);
    }

    #[test]
    fn what_changes_something_is_posted() {
        let acts = ["pause", "resume", "cancel", "priority", "replay", "drop"];
        for (method, path, _) in routes() {
            let name = path.rsplit('/').next().unwrap();
            assert_eq!(
                method == "post",
                acts.contains(&name) || method == "post" && path.starts_with("/log")
            );
        }
    }
}
