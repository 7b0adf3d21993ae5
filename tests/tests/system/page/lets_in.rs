//! Who is let in, and what browsers are told.

use super::client::Served;
use crate::site::{Kind, Site};

const TOKEN: &str = "correct-horse-battery-staple";

#[test]
fn every_answer_tells_browsers_what_they_must_not_do() {
    let site = Site::new(Kind::Embedded);
    let page = Served::coordinator(&site, &[]);
    for (path, status) in [
        ("/", 200),
        ("/login", 200),
        ("/assets/app.js", 200),
        ("/assets/app.css", 200),
        ("/assets/other.js", 404),
        ("/api/about", 200),
        ("/api/runs", 200),
        ("/api/workers", 200),
        ("/api/fleet", 200),
        ("/api/openapi.json", 200),
        ("/nothing", 404),
        ("/api/runs/nobody-1", 404),
    ] {
        let answer = page.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert!(answer.header("access-control-allow-origin").is_none(), "{path}");
        if status == 404 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        }
    }
    let script = page.get("/assets/app.js");
    let tag = script.header("etag").expect("a tag");
    assert!(tag.starts_with("W/"), "gzip has the same: {tag}");
    for encoding in ["gzip", "identity"] {
        let asked = [("If-None-Match", tag), ("Accept-Encoding", encoding)];
        assert_eq!(page.ask("GET", "/assets/app.js", &asked, "").status, 304, "{encoding}");
    }
    let own = format!("http://{}", page.address);
    assert_eq!(page.ask("PUT", "/api/runs", &[("Origin", own.as_str())], "").status, 405);
}

#[test]
fn a_name_that_is_no_name_leads_nowhere() {
    let site = Site::new(Kind::Embedded);
    let page = Served::coordinator(&site, &[]);
    for path in [
        "/api/runs/..%2F..%2Fetc",
        "/api/runs/%2e%2e",
        "/api/runs/a%00b",
        "/api/runs/.hidden/parts",
        "/api/runs/a-1/scenes/..%2F..%2Fx",
        "/api/runs/a-1/scenes/x/tiles/imagery/0/-1/0",
        "/api/runs/a-1/scenes/x/tiles/secrets/0/0/0",
        "/api/runs/a-1/failures/bake.0.0",
        "/api/runs/a-1/failures?n=-3",
    ] {
        let answer = page.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    for path in ["/assets/..%2F..%2FCargo.toml", "/assets/%2e%2e/x", "/../../etc/passwd", "//etc/passwd"] {
        assert_eq!(page.get(path).status, 404, "{path}");
    }
}

#[test]
fn on_this_machine_only_this_machine_is_let_in() {
    let site = Site::new(Kind::Embedded);
    let page = Served::coordinator(&site, &[]);
    let port = page.address.rsplit(':').next().expect("a port");
    for host in [format!("localhost:{port}"), "127.0.0.1".to_owned()] {
        assert_eq!(page.ask("GET", "/api/runs", &[("Host", host.as_str())], "").status, 200, "{host}");
    }
    for host in [format!("evil.example:{port}"), "10.0.0.1".to_owned(), "127.0.0.1.evil.example".to_owned()] {
        assert_eq!(page.ask("GET", "/api/runs", &[("Host", host.as_str())], "").status, 421, "{host}");
    }
    let own = format!("http://{}", page.address);
    let own = own.as_str();
    let pause = |headers: &[(&str, &str)]| page.ask("POST", "/api/runs/nobody-1/pause", headers, "").status;
    assert_eq!(pause(&[("Origin", own)]), 404, "it got as far as looking for the run");
    assert_eq!(pause(&[("Sec-Fetch-Site", "same-origin")]), 404);
    for theirs in [
        &[][..],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Origin", own), ("Sec-Fetch-Site", "cross-site")],
        &[("Authorization", "Bearer anything-at-all")],
    ] {
        assert_eq!(pause(theirs), 403, "{theirs:?}");
    }
}

#[test]
fn elsewhere_than_on_this_machine_it_takes_a_token() {
    let site = Site::new(Kind::Embedded);
    let said = |args: &[&str]| String::from_utf8_lossy(&site.swath(args, 2).stderr).into_owned();
    assert!(said(&["coordinator", "--http", "0.0.0.0:0"]).contains("--http-token-file"));
    let file = site.path("token");
    std::fs::write(&file, "short\n").expect("writing");
    let path = file.to_str().expect("UTF-8");
    assert!(said(&["coordinator", "--http", "0.0.0.0:0", "--http-token-file", path]).contains("16 to 512"));

    std::fs::write(&file, format!("{TOKEN}\n")).expect("writing");
    let page = Served::coordinator(&site, &["--http-token-file", path]);
    assert_eq!(page.get("/api/runs").status, 401);
    assert_eq!(page.get("/").header("location"), Some("/login"));
    assert_eq!((page.get("/login").status, page.get("/assets/app.css").status), (200, 200));
    let bearer = |method: &str, path: &str, token: &str| {
        let said = format!("Bearer {token}");
        page.ask(method, path, &[("Authorization", said.as_str())], "").status
    };
    assert_eq!(bearer("GET", "/api/runs", TOKEN), 200);
    assert_eq!(bearer("GET", "/api/runs", "correct-horse-battery-stapler"), 401);
    // Programs that show it are no page that somebody was led to.
    assert_eq!(bearer("POST", "/api/runs/nobody-1/pause", TOKEN), 404);

    let own = format!("http://{}", page.address);
    let own = own.as_str();
    let typed = |token: &str| {
        let form = [("Origin", own), ("Content-Type", "application/x-www-form-urlencoded")];
        page.ask("POST", "/login", &form, &format!("token={token}"))
    };
    let wrong = typed("wrong-horse-battery-staple");
    assert!(
        wrong.status == 401
            && wrong.text().contains("<p id=\"wrong\">")
            && wrong.header("set-cookie").is_none()
    );
    let right = typed(TOKEN);
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair");
    assert_eq!(page.ask("GET", "/api/runs", &[("Cookie", pair)], "").status, 200);
    let pause = |headers: &[(&str, &str)]| page.ask("POST", "/api/runs/nobody-1/pause", headers, "").status;
    assert_eq!(pause(&[("Cookie", pair)]), 403, "a cookie goes along with what other pages ask, too");
    assert_eq!(pause(&[("Cookie", pair), ("Origin", own)]), 404);
    // Any name may lead here, since a name alone opens nothing.
    assert_eq!(page.ask("GET", "/api/runs", &[("Cookie", pair), ("Host", "swath.example")], "").status, 200);

    let tries = (0..20).filter(|n| typed(&format!("a-guess-that-is-wrong-{n}")).status == 429).count();
    assert!(tries > 0, "tokens can be guessed as fast as one likes");
    assert!(!site.log().contains(TOKEN), "the token is in the log");
}
